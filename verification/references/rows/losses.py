"""Rows of the losses that judge distances: the squared error with a law of its own, and others."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from verification.cases import LayerCall
from verification.references.laws import running_error_functions as functions
from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import INPUT, OUTPUT, Computed, Enclosures
from verification.references.laws.running_error import Number
from verification.references.row import Clause, Refusal, Row, Trait
from verification.strategies import geometry, refusals
from verification.strategies.drawing import SearchStrategy
from verification.strategies.geometries import losses as strategies

TARGET = "target"
"""The name of a loss's second input, as torch names it."""


@dataclass(frozen=True)
class SquaredError:
    """Σ (x - t)^2 of given numbers, or its mean; the gradient of t is that of x turned round.

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
        return {
            INPUT: _enclosure(value, error, magnitude, exact),
            TARGET: _enclosure(-value, error, magnitude, exact),
        }


def _divisor(call: LayerCall, x: Tensor) -> int:
    return x.numel() if call.kwargs["reduction"] == "mean" else 1


def _enclosure(value: Tensor, error: Tensor, magnitude: Tensor, exact: bool) -> Enclosure:
    return Enclosure(value, torch.zeros_like(value) if exact else error, magnitude, exact)


_GEOMETRIES = functools.partial(geometry.losses, name="MSELoss")


def _refusals() -> SearchStrategy[Refusal]:
    return refusals.mistakes(
        _GEOMETRIES,
        {"reduction": refusals.REDUCTION},
        refusals.unlike_targets(_GEOMETRIES),
        refusals.means_of_nothing(_GEOMETRIES),
    )


LOSS_CLAUSES = frozenset(Clause) - {Clause.EMPTY_BATCH, Clause.ACCUMULATION, Clause.STATE}
"""The mean of nothing is refused; a loss holds no state and no parameters."""

MSE_LOSS = Row(
    name="MSELoss",
    law=SquaredError(),
    geometries=_GEOMETRIES,
    traits=frozenset({Trait.DIFFERENTIABLE}),
    clauses=LOSS_CLAUSES,
    refusals=_refusals,
    twin=nn.MSELoss,
    constants=(TARGET,),
)


def reduced(terms: Number, reduction: str) -> Number:
    """A loss from its terms, as torch names the ways: none, sum, mean, and batchmean, which divides
    by the length of the first axis.
    """
    if reduction == "none":
        return terms
    if reduction == "mean":
        return terms.mean()
    return terms.sum() / terms.shape[0] if reduction == "batchmean" else terms.sum()


def smooth_l1(difference: Number, beta: float) -> Number:
    """d^2 / (2 beta) below beta, |d| - beta / 2 from there on."""
    size = functions.absolute(difference)
    if beta == 0:
        return size
    # Not below: as in torch, a NaN belongs to the square, whose gradient is NaN too.
    large = functions.above(size, beta)
    inside = functions.where(large, difference.like(0.0), difference)
    return functions.where(large, size - 0.5 * beta, 0.5 * inside * inside / beta)


def huber(difference: Number, delta: float) -> Number:
    """d^2 / 2 up to delta, delta (|d| - delta / 2) beyond."""
    size = functions.absolute(difference)
    large = functions.above(size, delta)
    inside = functions.where(large, difference.like(0.0), difference)
    return functions.where(large, delta * (size - 0.5 * delta), 0.5 * inside * inside)


def _row(
    name: str,
    function: Callable[..., Number],
    twin: Callable[..., nn.Module],
    options: Mapping[str, tuple[float, ...]],
) -> Row:
    """The row of a loss that is a function of input - target and of the arguments in `options`."""

    def law(arguments: Mapping[str, Any], tensors: Mapping[str, Number]) -> Number:
        difference = tensors[INPUT] - tensors[TARGET]
        terms = function(difference, **{name: arguments[name] for name in options})
        return reduced(terms, arguments["reduction"])

    return Row(
        name=name,
        law=Computed(law),
        geometries=functools.partial(strategies.pointwise, name=name, options=options),
        traits=frozenset({Trait.DIFFERENTIABLE}),
        clauses=LOSS_CLAUSES,
        twin=twin,
        constants=(TARGET,),
    )


L1_LOSS = _row("L1Loss", functions.absolute, nn.L1Loss, {})
SMOOTH_L1_LOSS = _row("SmoothL1Loss", smooth_l1, nn.SmoothL1Loss, {"beta": (1.0, 0.5, 0.0, 0.3)})
HUBER_LOSS = _row("HuberLoss", huber, nn.HuberLoss, {"delta": (1.0, 0.5, 2.0, 0.3)})

ROWS = (MSE_LOSS, L1_LOSS, SMOOTH_L1_LOSS, HUBER_LOSS)
