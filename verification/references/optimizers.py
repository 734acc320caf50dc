"""The row of gradient descent with momentum, and its law.

An optimiser is judged as a map from parameters and gradients to updated parameters; there is
nothing to differentiate.
"""

import functools
from dataclasses import dataclass

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from verification.cases import LayerCall
from verification.references.enclosure import Enclosure, Precision
from verification.references.laws import Enclosures, Pick
from verification.references.row import Clause, Refusal, Row
from verification.strategies import geometry, refusals
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


_GEOMETRIES = functools.partial(geometry.optimizers, name="SGD")


def _refusals() -> SearchStrategy[Refusal]:
    """An optimiser is built in the forward of its subject, where its parameters are known."""
    bad_rates = tuple(Wrong((wrong.value,), wrong.error, wrong.culprit) for wrong in refusals.RATE)
    table = {"lr": bad_rates, "momentum": refusals.RATE}
    return refusals.bad_arguments(_GEOMETRIES, table, when="forward")


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

ROWS = (SGD,)
