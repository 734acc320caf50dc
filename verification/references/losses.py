"""The row of the squared error, and its law."""

import functools
from dataclasses import dataclass

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from verification.cases import LayerCall
from verification.references.enclosure import Enclosure, Precision
from verification.references.laws import INPUT, OUTPUT, Enclosures
from verification.references.row import Clause, Refusal, Row, Trait
from verification.strategies import geometry, refusals

TARGET = "target"
"""The name of a loss's second input, as torch names it."""


@dataclass(frozen=True)
class SquaredError:
    """Σ (x - t)^2 of given numbers, or its mean; the gradient is x's.

    Source: the report's loss, with torch.nn.MSELoss's reductions. Integers are exact under a sum;
    under a mean the division rounds.
    """

    def degree(self, call: LayerCall) -> int:
        return 2

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        x, t = tensors[INPUT], tensors[TARGET]
        n, divisor = x.value.numel(), _divisor(call, x.value)
        value = (x.value - t.value).square().sum() / divisor
        magnitude = (x.magnitude + t.magnitude).square().sum()
        exact = x.exact and t.exact and divisor == 1 and precision.certifies(magnitude)
        # The difference counts twice, being squared; the square, n - 1 sums, and 1 / n with its
        # product.
        error = precision.gamma(n + 4) * value + precision.underflow(n + 1)
        return {OUTPUT: _enclosure(value, error, magnitude, exact)}

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        x, t, cotangent = tensors[INPUT], tensors[TARGET], cotangents[OUTPUT]
        divisor = _divisor(call, x.value)
        value = 2 * (x.value - t.value) * cotangent.value / divisor
        magnitude = 2 * (x.magnitude + t.magnitude) * cotangent.magnitude
        exact = x.exact and t.exact and cotangent.exact and divisor == 1
        exact = exact and precision.certifies(magnitude)
        # The difference, 2 / n, and the products with it and with the cotangent.
        error = precision.gamma(4) * value.abs() + precision.underflow(2)
        return {INPUT: _enclosure(value, error, magnitude, exact)}


def _divisor(call: LayerCall, x: Tensor) -> int:
    return x.numel() if call.kwargs["reduction"] == "mean" else 1


def _enclosure(value: Tensor, error: Tensor, magnitude: Tensor, exact: bool) -> Enclosure:
    return Enclosure(value, torch.zeros_like(value) if exact else error, magnitude, exact)


_GEOMETRIES = functools.partial(geometry.losses, name="MSELoss")


def _refusals() -> SearchStrategy[Refusal]:
    return refusals.half_arguments(
        refusals.bad_arguments(_GEOMETRIES, {"reduction": refusals.REDUCTION}),
        refusals.unlike_targets(_GEOMETRIES),
        refusals.means_of_nothing(_GEOMETRIES),
    )


MSE_LOSS = Row(
    name="MSELoss",
    law=SquaredError(),
    geometries=_GEOMETRIES,
    traits=frozenset({Trait.DIFFERENTIABLE}),
    # The mean of nothing is refused; a loss holds no state and no parameters.
    clauses=frozenset(Clause) - {Clause.EMPTY_BATCH, Clause.ACCUMULATION, Clause.STATE},
    refusals=_refusals,
    twin=nn.MSELoss,
)

ROWS = (MSE_LOSS,)
