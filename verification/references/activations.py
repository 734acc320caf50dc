"""Rows of the activations."""

import functools

import torch
from torch import Tensor, nn

from verification.references.laws import Elementwise
from verification.references.row import Clause, Row, Trait
from verification.strategies import geometry


def _sigmoid(x: Tensor) -> Tensor:
    """σ(x) = 1 / (1 + exp(-x)), by the branch that neither overflows nor cancels."""
    small = torch.exp(-x.abs())
    return torch.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _sigmoid_derivative(x: Tensor) -> Tensor:
    """σ'(x) = σ(x) σ(-x); the form s (1 - s) collapses to 0 where 1 - s rounds to 0."""
    return _sigmoid(x) * _sigmoid(-x)


def _sigmoid_change(x: Tensor, error: Tensor) -> Tensor:
    """σ' <= 1/4; and |σ''| <= σ', so over a distance e σ' grows by no more than exp(e), and σ by no
    more than σ'(x) (exp(e) - 1).
    """
    # Where σ' underflows and exp(e) overflows their product is NaN, which fmin passes over.
    return torch.fmin(error / 4, _sigmoid_derivative(x) * torch.expm1(error))


def _sigmoid_derivative_change(x: Tensor, error: Tensor) -> Tensor:
    """|σ''| <= 1 / (6 √3), reached at σ = 1/2 ± 1/(2 √3); and the growth of σ' as above."""
    return torch.fmin(error / (6 * 3**0.5), _sigmoid_derivative(x) * torch.expm1(error))


def _step_change(x: Tensor, error: Tensor) -> Tensor:
    """The step of the derivative at 0 is within reach only of an x that may be off."""
    return ((x.abs() <= error) & (error > 0)).double()


_KEPT_OUTPUT = {Clause.FRESH_OUTPUTS: "the output is kept, and writing to it changes the backward"}

_TRAITS = frozenset({Trait.ELEMENTWISE, Trait.BATCHED, Trait.DIFFERENTIABLE, Trait.RESIZABLE})

RELU = Row(
    name="ReLU",
    law=Elementwise(
        # torch's clamp keeps a NaN, as ReLU must.
        function=lambda x: x.clamp(min=0),
        # 0 at 0, and 1 at NaN, whose slope nothing tells: both as torch has it.
        derivative=lambda x: (~(x <= 0)).double(),
        change=lambda x, error: error,
        derivative_change=_step_change,
        roundings=0,
        derivative_roundings=0,
    ),
    geometries=functools.partial(geometry.elementwise, name="ReLU"),
    traits=_TRAITS,
    twin=nn.ReLU,
    departures=_KEPT_OUTPUT,
)

SIGMOID = Row(
    name="Sigmoid",
    law=Elementwise(
        function=_sigmoid,
        derivative=_sigmoid_derivative,
        change=_sigmoid_change,
        derivative_change=_sigmoid_derivative_change,
        # exp is good to 2 u and appears above and below the bar; two more for the sum and the
        # quotient.
        roundings=6,
        # Two sigmoids, their product, and the cotangent.
        derivative_roundings=14,
    ),
    geometries=functools.partial(geometry.elementwise, name="Sigmoid"),
    traits=_TRAITS,
    twin=nn.Sigmoid,
    departures=_KEPT_OUTPUT
    | {Clause.SATURATION: "the backward is s (1 - s), which cancels for large inputs"},
)

ROWS = (RELU, SIGMOID)
