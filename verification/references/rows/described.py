"""The row of a function that is known by the description of its inputs alone.

There is no truth: the function's own run in float64 stands in for it, and what rounding may carry
another run away from that is estimated. A reference, if there is one, is such a run of other code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradcheck import rounding
from gradcheck.subjects import Subject
from verification.cases import LayerCall
from verification.references.laws.enclosure import Deferred, Precision
from verification.references.laws.law import Enclosures
from verification.references.laws.roundings import spread
from verification.references.row import Clause, Row, Trait
from verification.strategies.descriptions.description import Description

Build = Callable[[LayerCall, torch.dtype], Subject]


@dataclass(frozen=True)
class StandIn:
    """A run of code in float64 in the place of a truth.

    build: the subject for a call and a dtype. whole: the tensors that are no floating numbers, with
    their dtypes. known: all inputs; shaken: those whose elements may be moved one by one. widest:
    the dtype that stands for exact numbers.
    """

    build: Build
    whole: Mapping[str, torch.dtype]
    shaken: frozenset[str]
    known: frozenset[str]
    widest: torch.dtype

    def degree(self, call: LayerCall) -> int:
        """No sum of a function that is not known can be certified."""
        raise NotImplementedError("integers are not drawn for a function without an error analysis")

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        return self._enclosed(call, tensors, {}, precision)

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        return self._enclosed(call, tensors, cotangents, precision)

    def _enclosed(
        self,
        call: LayerCall,
        tensors: Enclosures,
        cotangents: Enclosures,
        precision: Precision,
    ) -> Enclosures:
        given = {n: e.value.to(self.whole.get(n, self.widest)) for n, e in tensors.items()}
        pulled = {n: e.value.to(self.widest) for n, e in cotangents.items()}
        return enclosed_run(self.build(call, self.widest), given, pulled, precision, self.shaken)


def enclosed_run(
    subject: Subject,
    given: Mapping[str, Tensor],
    cotangents: Mapping[str, Tensor],
    precision: Precision,
    shaken: frozenset[str],
) -> Enclosures:
    """What a subject gives, and how far rounding in that precision may carry it: its outputs, or
    its gradients where there are cotangents. `shaken` are the inputs to be moved one by one.
    """

    def run(moved: Mapping[str, Tensor]) -> dict[str, Tensor]:
        results = subject.forward(moved, {})
        if cotangents:
            results = subject.vjp(cotangents)
        # Copies: what a call returned may be memory that the next call writes to.
        return {n: t.double().clone() for n, t in results.items() if t.is_floating_point()}

    # Once, and for all results, when the first of them asks.
    known: dict[str, Tensor] = {}

    def bound(name: str) -> Tensor:
        if not known:
            known.update(_bounds(run, given, precision, shaken))
        return known[name]

    return {
        name: Deferred(value, lambda name=name: bound(name), _own_roundings(value, precision))  # type: ignore[misc]
        for name, value in run(given).items()
    }


def _bounds(
    run: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
    given: Mapping[str, Tensor],
    precision: Precision,
    shaken: frozenset[str],
) -> dict[str, Tensor]:
    """The changes that random roundings make, some roundings of the result, and underflow."""
    changes = spread(run, given, precision.dtype, shaken)
    return {
        name: rounding.NOISE_SAFETY * changes[name]
        + _own_roundings(value, precision)
        # What is below the normal numbers a function may take for zero.
        + torch.finfo(precision.dtype).smallest_normal
        for name, value in run(given).items()
    }


def _own_roundings(value: Tensor, precision: Precision) -> Tensor:
    """What the last operation may round."""
    u = rounding.unit_roundoff(precision.dtype)
    return rounding.OUTPUT_ROUNDINGS * u * value.abs().nan_to_num(0.0, 0.0, 0.0)


def described_row(
    name: str, description: Description, outputs: tuple[str, ...], law: StandIn
) -> Row:
    """The row of a function of that description; `outputs` are those that have a derivative."""
    call = LayerCall.of(name)
    return Row(
        name=name,
        law=law,
        geometries=lambda limits: description.geometries(limits, call, outputs),
        traits=frozenset({Trait.DIFFERENTIABLE}),
        clauses=frozenset({Clause.SIXTEEN_BITS}),
        described=True,
    )


def stand_in(
    description: Description,
    build: Build,
    widest: torch.dtype,
    whole: Mapping[str, torch.dtype],
) -> StandIn:
    """The function's own run in the widest dtype that it takes; the fields are those of StandIn."""
    kinds = {each.name: each.kind for each in description.inputs}
    free = {n for n, d in kinds.items() if not d.joint and not d.discrete}
    return StandIn(build, whole, frozenset(free), frozenset(kinds), widest)
