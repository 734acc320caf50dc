"""Rows of the optimisers.

An optimiser is judged as a map from parameters and gradients to updated parameters; there is
nothing to differentiate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from verification.cases import LayerCall
from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import Computed, Enclosures, Pick
from verification.references.laws.running_error import Number
from verification.references.laws.running_error_functions import maximum, sqrt
from verification.references.row import Clause, Refusal, Row
from verification.strategies import refusals
from verification.strategies.drawing import SearchStrategy
from verification.strategies.geometries.optimizers import (
    MOMENTA,
    DrawArguments,
    adaptive_moments,
    among,
    mean_squares,
    momentum_and_decay,
    sequences_of,
)
from verification.strategies.refusals import Wrong


@dataclass(frozen=True)
class Descent:
    """factor_t = momentum factor_{t-1} + lr_t gradient_t, w_t = w_{t-1} - factor_t.

    Source: the report's update. It equals torch.optim.SGD's while the learning rate is constant.
    """

    def degree(self, call: LayerCall) -> int:
        # Each term of the result is one given number times numbers of the call.
        return 1

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        steps, grid = len(call.kwargs["lr"]), _grid(call)
        names = [name for name in tensors if name.startswith("w")]
        values = {n: _descend(call, tensors, n, lambda e: e.value, -1) for n in names}
        sums = {n: _descend(call, tensors, n, lambda e: e.magnitude, 1) for n in names}
        # In units of the grid every number on the way is an integer, if it was one at the start.
        whole = {
            n: all(e.exact for m, e in tensors.items() if _belongs(m, n))
            and precision.certifies(sums[n] / grid)
            for n in names
        }
        # A gradient's way into w: the rate rounded, its product, its sum with the factor; in each
        # later step the momentum rounded, its product and that sum; and a difference every step.
        # Each product may underflow, and reaches at most every later difference.
        return {
            n: Enclosure(
                value,
                torch.zeros_like(value)
                if whole[n]
                else precision.gamma(4 * steps) * sums[n] + precision.underflow(2 * steps**2),
                sums[n] / grid,
                whole[n],
            )
            for n, value in values.items()
        }

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        return {}


def _descend(call: LayerCall, tensors: Enclosures, name: str, pick: Pick, sign: int) -> Tensor:
    """The updates of one parameter; with sign +1 on absolute values, the sum of absolute values."""
    weight = pick(tensors[name])
    momentum, factor = call.kwargs["momentum"], torch.zeros_like(weight)
    for step, rate in enumerate(call.kwargs["lr"]):
        gradient = pick(tensors[f"g{name.removeprefix('w')}.{step}"])
        # Without momentum nothing is kept: 0 times an infinity of an earlier step would be NaN.
        kept = momentum * factor if momentum else 0.0
        factor = kept + rate * gradient
        weight = weight + sign * factor
    return weight


def _belongs(tensor: str, weight: str) -> bool:
    return tensor == weight or tensor.startswith(f"g{weight.removeprefix('w')}.")


def _grid(call: LayerCall) -> float:
    """A power of two that all terms are integer multiples of, for integer parameters and
    gradients.
    """
    rate = min(_spacing(rate) for rate in call.kwargs["lr"])
    return float(rate * _spacing(call.kwargs["momentum"]) ** (len(call.kwargs["lr"]) - 1))


def _spacing(number: float) -> float:
    """The largest power of two, at most 1, that the number is an integer multiple of."""
    return 1 / number.as_integer_ratio()[1]


_GEOMETRIES = sequences_of("SGD", among(momentum=MOMENTA))


def _refusals() -> SearchStrategy[Refusal]:
    """An optimiser is built in the forward of its subject, where its parameters are known."""
    bad_rates = tuple(Wrong((wrong.value,), wrong.error, wrong.culprit) for wrong in refusals.RATE)
    table = {"lr": bad_rates, "momentum": refusals.RATE}
    return refusals.mistakes(_GEOMETRIES, table, when="forward")


SGD = Row(
    name="SGD",
    law=Descent(),
    geometries=_GEOMETRIES,
    traits=frozenset(),
    clauses=frozenset(
        {
            Clause.CHANGING_RATE,
            Clause.FRESH_OUTPUTS,
            Clause.NON_FINITE,
            Clause.PURITY,
            Clause.REFUSALS,
        }
    ),
    refusals=_refusals,
    twin=torch.optim.SGD,
    departures={
        Clause.CHANGING_RATE: "the learning rate multiplies the momentum too, as it is in each step"
    },
)

# torch's optimisers, whose updates are the algorithms of their documentation. A running mean is
# written m + (1 - β) (g - m), whose terms are larger than those of β m + (1 - β) g: the bound then
# holds for both.

Arguments = Mapping[str, Any]
Update = Callable[[Arguments, Number, list[Number]], Number]
"""(arguments, a parameter, its gradients step by step) -> the parameter after the last step."""


def _torch_sgd(arguments: Arguments, weight: Number, gradients: list[Number]) -> Number:
    """b_1 = g_1, b_t = μ b_{t-1} + (1 - τ) g_t; the step goes along b_t, or g_t + μ b_t."""
    momentum, kept = arguments["momentum"], None
    for rate, gradient in zip(arguments["lr"], gradients, strict=True):
        gradient = _decayed(arguments, gradient, weight)
        if momentum:
            fresh = (1 - arguments["dampening"]) * gradient
            kept = gradient if kept is None else momentum * kept + fresh
            gradient = gradient + momentum * kept if arguments["nesterov"] else kept
        weight = weight - rate * gradient
    return weight


def _adam(arguments: Arguments, weight: Number, gradients: list[Number]) -> Number:
    """The weight decay is added to the gradient."""
    return _adaptive(arguments, weight, gradients, decoupled=False)


def _adam_w(arguments: Arguments, weight: Number, gradients: list[Number]) -> Number:
    """The weight decay shrinks the weights."""
    return _adaptive(arguments, weight, gradients, decoupled=True)


def _adaptive(
    arguments: Arguments, weight: Number, gradients: list[Number], decoupled: bool
) -> Number:
    """With running means m of g and v of g², w -= lr m / (1 - β1^t) / (√(v / (1 - β2^t)) + ε)."""
    first, second = arguments["betas"]
    mean = square = largest = _zero(gradients)
    for t, (rate, gradient) in enumerate(zip(arguments["lr"], gradients, strict=True), start=1):
        if decoupled:
            weight = (1 - rate * arguments["weight_decay"]) * weight
        else:
            gradient = _decayed(arguments, gradient, weight)
        mean = mean + (1 - first) * (gradient - mean)
        square = square + (1 - second) * (gradient * gradient - square)
        largest = maximum(largest, square) if arguments["amsgrad"] else square
        root = sqrt(largest) / (1 - second**t) ** 0.5 + arguments["eps"]
        weight = weight - rate / (1 - first**t) * (mean / root)
    return weight


def _rms_prop(arguments: Arguments, weight: Number, gradients: list[Number]) -> Number:
    """b_t = μ b_{t-1} + g_t / (√v + ε) and w -= lr b_t; centred, v is less the square of the mean
    of g.
    """
    smoothing, momentum = arguments["alpha"], arguments["momentum"]
    square = mean = kept = _zero(gradients)
    for rate, gradient in zip(arguments["lr"], gradients, strict=True):
        gradient = _decayed(arguments, gradient, weight)
        square = square + (1 - smoothing) * (gradient * gradient - square)
        variance = square
        if arguments["centered"]:
            mean = mean + (1 - smoothing) * (gradient - mean)
            variance = square - mean * mean
        step = gradient / (sqrt(variance) + arguments["eps"])
        kept = momentum * kept + step if momentum else step
        weight = weight - rate * kept
    return weight


def _zero(gradients: list[Number]) -> Number:
    """What a running mean starts from."""
    return gradients[0].like(torch.zeros_like(gradients[0].value))


def _decayed(arguments: Arguments, gradient: Number, weight: Number) -> Number:
    decay = arguments["weight_decay"]
    return gradient + decay * weight if decay else gradient


def _each_parameter(update: Update) -> Computed:
    """The law of an optimiser that treats every parameter by itself."""

    def updated(arguments: Arguments, tensors: Mapping[str, Number]) -> dict[str, Number]:
        steps = range(len(arguments["lr"]))
        return {
            name: update(arguments, weight, [tensors[f"g{name[1:]}.{t}"] for t in steps])
            for name, weight in tensors.items()
            if name.startswith("w")
        }

    return Computed(updated)


_CLAUSES = frozenset({Clause.CHANGING_RATE, Clause.FRESH_OUTPUTS, Clause.NON_FINITE})


def _optimizer(name: str, update: Update, arguments: DrawArguments, twin: type) -> Row:
    return Row(
        name=name,
        law=_each_parameter(update),
        geometries=sequences_of(name, arguments),
        traits=frozenset(),
        clauses=_CLAUSES,
        twin=twin,
    )


TORCH_SGD = _optimizer("TorchSGD", _torch_sgd, momentum_and_decay, torch.optim.SGD)
ADAM = _optimizer("Adam", _adam, adaptive_moments, torch.optim.Adam)
ADAM_W = _optimizer("AdamW", _adam_w, adaptive_moments, torch.optim.AdamW)
RMS_PROP = _optimizer("RMSprop", _rms_prop, mean_squares, torch.optim.RMSprop)

ROWS = (SGD, TORCH_SGD, ADAM, ADAM_W, RMS_PROP)
