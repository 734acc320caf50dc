"""The entry of a function that is judged by the description of its inputs: where its code may run,
and where that runs elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NoReturn

import torch
from torch import Tensor

from verification.cases import LayerCall, Role, SubjectSpec, TensorSpec, Values
from verification.cases.declarations import Declarations, Surroundings
from verification.references.row import Row
from verification.references.rows.described import described_row, stand_in
from verification.strategies.descriptions.description import Description
from verification.strategies.descriptions.domain import DomainError
from verification.strategies.descriptions.extents import DescriptionError
from verification.strategies.geometry import Geometry
from verification.strategies.tensors import DENSE
from verification.subjects.described.calling import Callee, ModuleCallee, callee_of, require_taken
from verification.subjects.described.function import Declared, DescribedSubject, Manner
from verification.subjects.described.watching import MakeSubject, Seen, Try, watch
from verification.subjects.entry import (
    KEEPS_TO_VALUES,
    MODULE,
    OPERATOR,
    REFERENCE,
    SAMPLES,
    Build,
    Entry,
)
from verification.subjects.loading import (
    Loaded,
    SubjectError,
    at_hand,
    digest_of,
    importable_name,
)
from verification.subjects.probing.probed import Probed
from verification.trials.materialise import Budget, materialise
from verification.trials.outcome import Unjudged

TRIES = 8
"""So many sizes are tried for a first call; the first that the function takes shows its outputs."""


def described_entry(loaded: Loaded, spec: SubjectSpec) -> tuple[Entry, Probed]:
    """The entry of a function at hand, and what was found out about it. Runs its code.

    Raises:
        SubjectError: the description cannot be read, or the function does not take such inputs.
    """
    description, declared = description_of(spec), Declarations.of(spec.declared)
    names, known = tuple(each.name for each in description.inputs), _loaded(declared)
    callee, name = callee_of(loaded), importable_name(loaded)
    require_taken(callee, names, description.settings, name)

    def make(call: LayerCall, manner: Manner, dtype: torch.dtype) -> DescribedSubject:
        return DescribedSubject(callee, names, call.kwargs, known, manner, dtype)

    examples = description.examples(LayerCall.of(_short(spec.name)), TRIES)
    tries = [_tried(geometry) for geometry in examples]
    seen = watch(make, tries, name)
    if known.reference is not None:
        _require_reference(make, tries, known.reference, seen)

    def build(call: LayerCall, dtype: torch.dtype, device: torch.device) -> DescribedSubject:
        if dtype == torch.float64 and seen.widest != dtype:
            raise Unjudged("the function does not take float64")
        return make(call, seen.manner, dtype)

    found = Probed(
        digest_of(loaded),
        offers=tuple(_offers(spec, callee, known, seen)),
        outputs=seen.outputs,
        notes=seen.notes,
    )
    return _entry(spec, found, description, build, seen), found


def _loaded(declared: Declarations) -> Declared:
    def found(name: str | None) -> Callable[..., Any] | None:
        if name is None:
            return None
        loaded = at_hand(name)
        if isinstance(loaded, tuple):
            raise SubjectError(f"{name} is a pair of functions: declare one")
        return loaded

    return Declared(
        frozenset(declared.constant),
        found(declared.derivative_of),
        found(declared.vjp),
        1.0 if declared.scaled_by is None else declared.scaled_by,
        declared.approximate or 0.0,
        found(declared.stochastic),
        found(declared.reference),
    )


def _offers(spec: SubjectSpec, callee: Callee, known: Declared, seen: Seen) -> Iterator[str]:
    if not seen.manner.random:
        yield KEEPS_TO_VALUES
    if known.reference is not None:
        yield REFERENCE
    if callee.operator is not None:
        yield OPERATOR
    if isinstance(callee, ModuleCallee):
        yield MODULE
    if Surroundings.of(spec.adapter).batch is not None:
        yield SAMPLES


def _require_reference(
    make: MakeSubject, tries: list[Try], reference: Callable[..., Any], seen: Seen
) -> None:
    """Raise SubjectError unless the reference takes what the function takes."""
    call, given = tries[0]
    name = importable_name(reference)
    try:
        other = make(call, seen.manner, seen.widest).other(reference)
        returned = other.forward(given(seen.widest), {})
    except Exception as error:
        raise SubjectError(
            f"the reference {name} raises {type(error).__name__} where the function does not:"
            f" {error}; give one of the same arguments"
        ) from error
    missing = [output for output in seen.outputs if output not in returned]
    if missing:
        raise SubjectError(
            f"the reference {name} gives {', '.join(returned)} and no {', '.join(missing)}: let it"
            " return what the function returns"
        )


def described_elsewhere(spec: SubjectSpec, found: Probed) -> Entry:
    """The entry of a function that only another process may call."""
    return _entry(spec, found, description_of(spec), _not_here, None)


def description_of(spec: SubjectSpec) -> Description:
    """The description in a spec.

    Raises:
        SubjectError: it cannot be read or satisfied.
    """
    around, declared = Surroundings.of(spec.adapter), Declarations.of(spec.declared)
    try:
        description = Description(
            dict(spec.inputs), around.where, dict(around.settings), around.same
        )
    except DescriptionError as error:
        raise SubjectError(str(error)) from None
    unknown = sorted({*declared.constant} - {name for name, _ in spec.inputs})
    if unknown:
        raise SubjectError(
            f"constant names {', '.join(unknown)}, which no input is; the inputs are"
            f" {', '.join(name for name, _ in spec.inputs)}"
        )
    return description


def _entry(
    spec: SubjectSpec, found: Probed, description: Description, build: Build, seen: Seen | None
) -> Entry:
    widest = torch.float64 if seen is None else seen.widest
    host = torch.device("cpu")
    whole = {} if seen is None else seen.whole
    law = stand_in(description, lambda call, dtype: build(call, dtype, host), widest, whole)
    row: Row = described_row(_short(spec.name), description, found.outputs, law)
    asked = replace(spec, digest=found.digest, found=found.told)
    return Entry(spec.name, row, build, frozenset(found.offers), asked=asked)


def _short(name: str) -> str:
    return name.rpartition(":")[2].rpartition(".")[2]


def _tried(geometry: Geometry) -> Try:
    """A first call."""
    return geometry.layer, lambda dtype: tensors_of(geometry, dtype)


def tensors_of(geometry: Geometry, dtype: torch.dtype) -> dict[str, Tensor]:
    """Dense numbers in the domains of a geometry's inputs."""
    domains, host = dict(geometry.domains), torch.device("cpu")
    specs = {
        name: TensorSpec(name, Role.INPUT, shape, Values(DENSE), domain=domains[name])
        for name, shape in geometry.inputs
    }
    try:
        return {
            name: materialise(spec, spec.shape or (), _no_budget, dtype, host).tensor
            for name, spec in specs.items()
        }
    except DomainError as error:
        raise SubjectError(str(error)) from None


def _no_budget() -> Budget:
    raise RuntimeError("dense numbers have no budget")


def _not_here(call: LayerCall, dtype: torch.dtype, device: torch.device) -> NoReturn:
    raise RuntimeError(f"{call} is built in a child process only")
