"""The law of a layer that chooses entries of what it is given: a maximum, a row of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from verification.cases import LayerCall
from verification.references.laws.enclosure import Precision
from verification.references.laws.law import Enclosures, Multilinear, Tensors


@dataclass(frozen=True)
class Selecting:
    """`choose` finds places from the true numbers, `pick` takes what stands at them: a map that is
    linear as long as the choice stays the same.

    The tensors must be given numbers, without an error that could change the choice. Those named in
    `choosing` do nothing but choose, and so have no gradient.
    """

    choose: Callable[[Mapping[str, Any], Tensors], Tensor]
    pick: Callable[[Mapping[str, Any], Tensors, Tensor], Tensor]
    choosing: frozenset[str] = frozenset()

    def degree(self, call: LayerCall) -> int:
        return 1

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        return self._chosen(call, tensors).forward(call, self._picked(tensors), precision)

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        chosen = self._chosen(call, tensors)
        return chosen.backward(call, self._picked(tensors), cotangents, precision)

    def _chosen(self, call: LayerCall, tensors: Enclosures) -> Multilinear:
        places = self.choose(call.kwargs, {name: e.value for name, e in tensors.items()})
        return Multilinear(
            lambda arguments, picked: self.pick(arguments, picked, places), degree_of_terms=1
        )

    def _picked(self, tensors: Enclosures) -> Enclosures:
        return {name: e for name, e in tensors.items() if name not in self.choosing}
