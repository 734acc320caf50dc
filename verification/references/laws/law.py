"""Laws: the truth of a layer's forward and backward in float64, with the rounding error of a right
layer.

Four laws cover most layers. A Multilinear map's own reference, run on absolute values and on ones,
yields the sums of absolute values and the numbers of terms that its error bound needs, so no layer
writes an error analysis of its own. An Elementwise map states its derivative and how many roundings
a careful evaluation takes. A Computed function is composed of the primitives of running_error.py,
which know how they round. A Chain composes.

Source of the bounds: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section
3.1 and (3.11): a sum of n products computed in any order is off by at most γ_n Σ|terms|.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from gradcheck import rounding
from verification.cases import LayerCall
from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.running_error import Number, pulled_back

Tensors = Mapping[str, Tensor]
Enclosures = dict[str, Enclosure]
Function = Callable[[Mapping[str, Any], Tensors], Tensor]
"""(arguments of the layer, its tensors by name) -> its output. Differentiable by autograd."""

Pick = Callable[[Enclosure], Tensor]
"""Which part of an enclosure a reference is evaluated on."""

INPUT = "input"
"""The name of a layer's first input, as torch names it."""

OUTPUT = "output"
"""The name of a layer's output, and of the cotangent that belongs to it."""


class Law(Protocol):
    """What is true of one kind of layer."""

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        """The enclosed outputs, given every input and parameter by name."""

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        """The enclosed gradient of every tensor that has one, by name."""

    def degree(self, call: LayerCall) -> int:
        """How many of the given tensors are multiplied together in one term, at most."""


@dataclass(frozen=True)
class Multilinear:
    """A map that is linear in each tensor (or affine, as in a bias), with structure constants 0 and
    1.

    With |·| taken of every tensor the reference gives Σ|terms|, and on ones, zeros left out, it
    counts the terms of every entry.
    """

    function: Function
    degree_of_terms: int = 2

    def degree(self, call: LayerCall) -> int:
        return self.degree_of_terms

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        def evaluate(pick: Pick) -> dict[str, Tensor]:
            with torch.no_grad():
                return {OUTPUT: self.function(call.kwargs, _each(pick, tensors))}

        return self._enclose(evaluate, tensors.values(), precision)

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        cotangent = cotangents[OUTPUT]

        def evaluate(pick: Pick) -> dict[str, Tensor]:
            return pull_back(self.function, call, _each(pick, tensors), pick(cotangent))

        return self._enclose(evaluate, (*tensors.values(), cotangent), precision)

    def _roundings(self, terms: Tensor) -> Tensor:
        """Of a sum of that many terms: a product and a sum for each, one to spare; copies of given
        numbers take only the sums.
        """
        return terms + 1 if self.degree_of_terms > 1 else (terms - 1).clamp(min=0)

    def _enclose(
        self,
        evaluate: Callable[[Pick], dict[str, Tensor]],
        operands: Iterable[Enclosure],
        precision: Precision,
    ) -> Enclosures:
        """Enclose every result of a multilinear map that can be evaluated on any picked part of its
        operands.
        """
        operands = tuple(operands)
        values = evaluate(lambda e: e.value)
        if all(e.exact for e in operands):
            magnitudes = evaluate(lambda e: e.magnitude)
            exact = {name: precision.certifies(m) for name, m in magnitudes.items()}
        else:
            magnitudes, exact = {}, dict.fromkeys(values, False)
        if all(exact.values()):
            return {
                n: Enclosure(v, torch.zeros_like(v), magnitudes[n], True) for n, v in values.items()
            }

        terms = evaluate(_present)
        sums = evaluate(lambda e: e.value.abs() + e.error)
        inherited = _inherited_error(evaluate, operands, precision)
        enclosures = {}
        for name, value in values.items():
            roundings = self._roundings(terms[name])
            error = precision.gamma(roundings) * sums[name]
            if self.degree_of_terms > 1:  # a sum cannot underflow, a product can
                error = error + precision.underflow(roundings)
            error = torch.zeros_like(value) if exact[name] else error + inherited.get(name, 0.0)
            # An infinity or a NaN comes out of every order of summation.
            error = error.where(value.isfinite(), 0.0)
            magnitude = magnitudes.get(name, sums[name])
            enclosures[name] = Enclosure(value, error, magnitude, exact[name])
        return enclosures


@dataclass(frozen=True)
class Elementwise:
    """y_i = f(x_i). `roundings` and `derivative_roundings` count the roundings of a careful
    evaluation of each.

    `change(x, e)` bounds |f(x') - f(x)| over |x' - x| <= e, and `derivative_change(x, e)` does so
    for f'.
    """

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    change: Callable[[Tensor, Tensor], Tensor]
    derivative_change: Callable[[Tensor, Tensor], Tensor]
    roundings: int
    derivative_roundings: int

    def degree(self, call: LayerCall) -> int:
        return 1

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        (x,) = tensors.values()
        value = self.function(x.value)
        error = self.change(x.value, x.error)
        exact = x.exact and self.roundings == 0
        if self.roundings:
            error = error + precision.gamma(self.roundings) * value.abs() + precision.underflow(1)
        magnitude = x.magnitude if self.roundings == 0 else value.abs()
        return {OUTPUT: Enclosure(value, error, magnitude, exact)}

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        ((name, x),) = tensors.items()
        cotangent = cotangents[OUTPUT]
        slope = self.derivative(x.value)
        value = cotangent.value * slope
        change = self.derivative_change(x.value, x.error)
        error = (slope.abs() + change) * cotangent.error + change * cotangent.value.abs()
        if self.derivative_roundings:
            error = error + precision.gamma(self.derivative_roundings) * value.abs()
            error = error + precision.underflow(2) * (1 + cotangent.value.abs())
        else:
            # A derivative of 0 or 1 selects: where it is 0, so is the gradient of a NaN.
            value = value.where(slope != 0, 0.0)
            error = error.where(slope + change != 0, 0.0)
        exact = x.exact and cotangent.exact and self.derivative_roundings == 0
        return {name: Enclosure(value, error, cotangent.magnitude, exact)}


Composed = Callable[[Mapping[str, Any], Mapping[str, Number]], "Number | dict[str, Number]"]
"""(arguments of the layer, its tensors by name) -> its output, or its outputs by name, composed of
the primitives of running_error.py.
"""


@dataclass(frozen=True)
class Computed:
    """A function that is not linear, with the bounds of running error analysis.

    Tensors that no gradient reaches (labels, running statistics) have none in the truth.
    """

    function: Composed
    degree_of_terms: int = 2

    def degree(self, call: LayerCall) -> int:
        return self.degree_of_terms

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        given = {name: Number(e, precision) for name, e in tensors.items()}
        return {name: number.enclosure for name, number in self._outputs(call, given).items()}

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        given = {name: Number(e, precision, tracked=True) for name, e in tensors.items()}
        arriving = {name: Number(e, precision) for name, e in cotangents.items()}
        found = pulled_back(self._outputs(call, given), arriving)
        return {name: found[number].enclosure for name, number in given.items() if number in found}

    def _outputs(self, call: LayerCall, given: Mapping[str, Number]) -> dict[str, Number]:
        result = self.function(call.kwargs, given)
        return {OUTPUT: result} if isinstance(result, Number) else result


def pull_back(
    function: Function, call: LayerCall, tensors: Tensors, cotangent: Tensor
) -> dict[str, Tensor]:
    """Autograd's vector-Jacobian product of a reference, by name."""
    leaves = {name: value.detach().requires_grad_() for name, value in tensors.items()}
    with torch.enable_grad():
        output = function(call.kwargs, leaves)
    gradients = torch.autograd.grad(
        output, list(leaves.values()), cotangent, allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, gradients, strict=True))


def _inherited_error(
    evaluate: Callable[[Pick], dict[str, Tensor]],
    operands: tuple[Enclosure, ...],
    precision: Precision,
) -> dict[str, Tensor]:
    """What the operands' own errors do to the results: at most f(|v| + e) - f(|v|).

    f on non-negative tensors is convex and increasing, so (f(|v| + k e) - f(|v|)) / k is no smaller
    for any k >= 1; a large k keeps the difference from drowning in float64's own rounding.
    """
    if not any(bool(e.error.any()) for e in operands):
        return {}
    k = rounding.unit_roundoff(precision.dtype) ** -0.5
    far = evaluate(lambda e: e.value.abs() + k * e.error)
    near = evaluate(lambda e: e.value.abs())
    return {name: (far[name] - near[name]).clamp(min=0) / k for name in far}


def _present(operand: Enclosure) -> Tensor:
    """Ones where a factor makes a term: what is certainly 0 adds 0, which rounds nothing."""
    return ((operand.value != 0) | (operand.error > 0)).double()


def _each(pick: Pick, tensors: Enclosures) -> dict[str, Tensor]:
    return {name: pick(enclosure) for name, enclosure in tensors.items()}


@dataclass(frozen=True)
class Chain:
    """Layers one after another; each tensor of a child is named "position.name", as
    torch.nn.Sequential names it.

    `law_of(child)` finds the law of a child's kind.
    """

    law_of: Callable[[LayerCall], Law]

    def degree(self, call: LayerCall) -> int:
        # A term of the output holds one factor from each layer that multiplies, and the input.
        return 1 + sum(self.law_of(child).degree(child) - 1 for child in call.children)

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        return {OUTPUT: self._through(call, tensors, precision)[-1]}

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        inputs = self._through(call, tensors, precision)[:-1]
        gradients: Enclosures = {}
        arriving = cotangents[OUTPUT]
        for position, (child, x) in reversed(
            list(enumerate(zip(call.children, inputs, strict=True)))
        ):
            own = {INPUT: x, **_inside(position, tensors)}
            found = self.law_of(child).backward(child, own, {OUTPUT: arriving}, precision)
            arriving = found.pop(INPUT)
            gradients |= {f"{position}.{name}": gradient for name, gradient in found.items()}
        return {INPUT: arriving, **gradients}

    def _through(
        self, call: LayerCall, tensors: Enclosures, precision: Precision
    ) -> list[Enclosure]:
        values = [tensors[INPUT]]
        for position, child in enumerate(call.children):
            own = {INPUT: values[-1], **_inside(position, tensors)}
            values.append(self.law_of(child).forward(child, own, precision)[OUTPUT])
        return values


def _inside(position: int, tensors: Enclosures) -> Enclosures:
    prefix = f"{position}."
    return {name.removeprefix(prefix): e for name, e in tensors.items() if name.startswith(prefix)}
