"""The law of a map that is linear in what it is given, and in weights that the layer computes for
itself: averages and interpolation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from verification.cases import LayerCall
from verification.references.laws.enclosure import Precision
from verification.references.laws.law import INPUT, Enclosures, Function, Multilinear

Weights = Callable[[Mapping[str, Any], tuple[int, ...], Precision], Enclosures]
"""(arguments, shape of the input, precision) -> the weights by name, enclosed."""


@dataclass(frozen=True)
class Weighted:
    """`function` is multilinear in the tensors and in the weights; the weights' errors, which the
    layer's way to compute them may make, count like those of any operand.
    """

    function: Function
    weights: Weights
    degree_of_terms: int = 2

    def degree(self, call: LayerCall) -> int:
        return self._multilinear.degree(call)

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        weights = self._weights(call, tensors, precision)
        return self._multilinear.forward(call, tensors | weights, precision)

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        given = tensors | self._weights(call, tensors, precision)
        found = self._multilinear.backward(call, given, cotangents, precision)
        return {name: gradient for name, gradient in found.items() if name in tensors}

    @property
    def _multilinear(self) -> Multilinear:
        return Multilinear(self.function, self.degree_of_terms)

    def _weights(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        return self.weights(call.kwargs, tuple(tensors[INPUT].value.shape), precision)
