"""How a script builds and calls the subject of a case: lines of Python, one function for each form
that a subject has. They leave `results`, by the names that a discrepancy calls them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from verification.cases import Case, Role
from verification.references.row import Row
from verification.report.scripts.expressions import (
    ask,
    keywords,
    literal,
    specs_of,
    stored,
    taken,
)
from verification.report.scripts.functions import described, differentiated, pair
from verification.report.scripts.layers import expression, layer
from verification.report.scripts.optimizers import optimizer
from verification.subjects.driving.arguments import IDLE, Matching
from verification.subjects.driving.function_calls import Call
from verification.subjects.driving.translation import Translation

MADE_UP = dict.fromkeys(("rng", "random_state"), "numpy.random.RandomState(0)")
"""What is given for arguments of no account that no literal stands for."""


def calls(case: Case, row: Row) -> Iterator[str]:
    """The lines for a case of whatever form.

    Raises:
        CaseFileError: one call cannot show the case, or the file does not say how it is made.
    """
    if "lr" in case.layer.kwargs:
        return optimizer(case)
    if case.subject.like is None and not case.subject.inputs:
        return layer(case, f"layer = {expression(case.layer)}", Translation())
    if case.subject.inputs:
        return described(case)
    call, translation = stored(case)
    if translation.columns or dict(case.subject.found).get("alone"):
        return ask("how the samples of a batch are given to the layer: in turn, or as columns")
    if not isinstance(call, Call):
        own = keywords(_constructed(case, call, row, translation))
        return layer(case, f"layer = Layer({own})", translation)
    tensors = {spec.name: taken(spec, translation) for spec in specs_of(case, Role.INPUT)}
    tensors |= {spec.name: taken(spec, translation) for spec in specs_of(case, Role.PARAMETER)}
    given = {n: literal(v) for n, v in call.arguments({}, _built_from(case, row)).items()}
    given |= {own: tensors.get(name, "None") for own, name in call.tensors.items()}
    if "," in case.subject.name:
        return pair(case, given, translation)
    return differentiated(case, call, given, translation)


def _constructed(case: Case, call: Matching, row: Row, translation: Translation) -> dict[str, str]:
    """The arguments of a layer's constructor, as expressions."""
    given = {n: literal(v) for n, v in call.call(_built_from(case, row)).items()}
    given |= {name: MADE_UP.get(name, repr(IDLE[name]())) for name in call.idle}
    held = {spec.name: taken(spec, translation) for spec in case.of_role(Role.PARAMETER)}
    return given | {own: held[name] for own, name in call.held.items()}


def _built_from(case: Case, row: Row) -> dict[str, Any]:
    kind = row.constructed(case.layer.kwargs, getattr(torch, case.dtype), torch.device("cpu"))
    return row.with_rests(kind) if dict(case.subject.found).get("rest") else kind
