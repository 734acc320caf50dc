"""Rows of the activations."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from verification.references.laws import running_error_functions as functions
from verification.references.laws.law import INPUT, Computed, Elementwise
from verification.references.laws.running_error import Number
from verification.references.row import Clause, Row, Trait
from verification.strategies import geometry
from verification.strategies.geometries import activations


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


def _tanh_derivative(x: Tensor) -> Tensor:
    """1 / cosh^2 x; the form 1 - y^2 collapses to 0 where y rounds to 1."""
    return x.cosh().pow(-2)


def _tanh_growth(x: Tensor, error: Tensor) -> Tensor:
    """|d log tanh'| <= 2 dx, so over a distance e tanh' changes by at most tanh' (exp(2 e) - 1)."""
    return _tanh_derivative(x) * torch.expm1(2 * error)


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

TANH = Row(
    name="Tanh",
    law=Elementwise(
        function=torch.tanh,
        derivative=_tanh_derivative,
        # tanh' <= 1, and |tanh''| <= 4 / (3 √3), reached at y = 1 / √3.
        change=lambda x, error: torch.fmin(error, _tanh_growth(x, error) / 2),
        derivative_change=lambda x, error: torch.fmin(
            error * 4 / (3 * 3**0.5), _tanh_growth(x, error)
        ),
        roundings=functions.LIBRARY,
        # cosh as the library has it, its square, the quotient, and the cotangent.
        derivative_roundings=2 * functions.LIBRARY + 3,
    ),
    geometries=functools.partial(geometry.elementwise, name="Tanh"),
    traits=_TRAITS,
    twin=nn.Tanh,
    departures=_KEPT_OUTPUT
    | {Clause.SATURATION: "the backward is 1 - y^2, which cancels for large inputs"},
)


def gelu(x: Number, approximate: str) -> Number:
    """The product x Φ(x) with the normal distribution's Φ, or the approximation of it by tanh.

    Source: D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, section 2.
    """
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1 + functions.tanh(inner))
    return 0.5 * x * (1 + functions.erf(x * math.sqrt(0.5)))


def softplus(x: Number, beta: float, threshold: float) -> Number:
    """log(1 + exp(beta x)) / beta, and x itself where beta x is above the threshold."""
    scaled = beta * x
    smooth = -functions.log_sigmoid(-scaled) / beta
    return functions.where(functions.above(scaled, threshold), x, smooth)


def elu(x: Number, alpha: float) -> Number:
    """The line x above 0, alpha (exp(x) - 1) below, whose subtraction may cancel."""
    below = alpha * (functions.exp(functions.at_most(x, 0)) - 1)
    return functions.where(functions.above(x, 0), x, below)


def hardswish(x: Number) -> Number:
    """0 up to -3, x from 3 on, x (x + 3) / 6 between.

    Most compute x min(max(x + 3, 0), 6) / 6, which rounds from 3 on too.
    """
    lower, upper = functions.above(x, -3), functions.below(x, 3)
    inside = functions.where(lower, functions.where(upper, x, 3.0), -3.0)
    return functions.where(
        upper, functions.where(lower, inside * (inside + 3) / 6, 0 * x), 6 * x / 6
    )


def _row(
    name: str,
    function: Callable[..., Number],
    twin: Callable[..., nn.Module],
    options: activations.Options | None = None,
    departures: Mapping[Clause, str] | None = None,
) -> Row:
    """The row of a function of the input and of the arguments that the options name."""

    def law(arguments: Mapping[str, Any], tensors: Mapping[str, Number]) -> Number:
        return function(tensors[INPUT], **arguments)

    return Row(
        name=name,
        law=Computed(law),
        geometries=functools.partial(activations.elementwise, name=name, options=options or {}),
        traits=_TRAITS,
        twin=twin,
        departures=departures or {},
    )


_NAN_GRADIENT = {
    Clause.NON_FINITE: "whether a NaN has a gradient depends on how many elements there are"
}

LEAKY_RELU = _row(
    "LeakyReLU",
    lambda x, negative_slope: functions.where(functions.above(x, 0), x, negative_slope * x),
    nn.LeakyReLU,
    {"negative_slope": (0.01, 0.5, 0.0, 1.0, -1.0, 0.3, 2.0)},
)
GELU = _row(
    "GELU",
    gelu,
    nn.GELU,
    {"approximate": ("none", "tanh")},
    {Clause.NON_FINITE: "infinity gives infinity or NaN, depending on how many elements there are"},
)
SILU = _row("SiLU", lambda x: x * functions.sigmoid(x), nn.SiLU)
SOFTPLUS = _row(
    "Softplus", softplus, nn.Softplus, {"beta": (1.0, 2.0, 0.5, 0.7), "threshold": (20.0, 5.0)}
)
ELU = _row("ELU", elu, nn.ELU, {"alpha": (1.0, 0.5, 2.0, 0.3)}, _NAN_GRADIENT)
HARDSWISH = _row("Hardswish", hardswish, nn.Hardswish, departures=_NAN_GRADIENT)


def _along(name: str, function: Callable[[Number, int], Number], twin: type[nn.Module]) -> Row:
    """The row of a function along an axis other than the batch."""
    return Row(
        name=name,
        law=Computed(lambda arguments, tensors: function(tensors[INPUT], arguments["dim"])),
        geometries=functools.partial(activations.along_an_axis, name=name),
        traits=frozenset({Trait.BATCHED, Trait.DIFFERENTIABLE, Trait.RESIZABLE}),
        twin=twin,
        departures=_KEPT_OUTPUT,
    )


SOFTMAX = _along("Softmax", functions.softmax, nn.Softmax)
LOG_SOFTMAX = _along("LogSoftmax", functions.log_softmax, nn.LogSoftmax)

ROWS = (
    RELU,
    LEAKY_RELU,
    ELU,
    GELU,
    SILU,
    HARDSWISH,
    SIGMOID,
    TANH,
    SOFTPLUS,
    SOFTMAX,
    LOG_SOFTMAX,
)
