"""What torch's own autograd differentiates, held by somebody's nn.Module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gradcheck.subjects import ModuleSubject
from verification.subjects.driving.parameters import usual_name
from verification.subjects.driving.translation import Translation


class Native:
    """An nn.Module whose parameters answer to the kind's names: by names that are usual, else in
    order.
    """

    def __init__(self, module: nn.Module, names: Sequence[str], translation: Translation) -> None:
        self._module = module
        self._subject = ModuleSubject(module)
        self.name = self._subject.name
        self.offers = self._subject.offers - {"state"}
        self.own_names = _by_kind(list(self._subject.parameters()), names)
        self._names = names
        self._translation = translation
        self._given: dict[str, Tensor] = {}

    takes_training = True

    def train(self, mode: bool) -> None:
        """Let the module train, or not."""
        self._module.train(mode)

    def observe(self, x: Tensor) -> None:
        """A forward that changes the module's buffers, which those of the subject leave alone."""
        with torch.no_grad():
            self._module(self._translation.turned("input", x))

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape in which the module holds a parameter; None where it has none of that name."""
        own = self.own_names.get(name)
        return None if own is None else tuple(self._subject.parameters()[own].shape)

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name."""
        self._given = {**inputs, **parameters}
        turned = {name: self._translation.turned(name, x) for name, x in inputs.items()}
        bound = {
            self.own_names.get(name, name): self._translation.there(name, value, self.shape(name))
            for name, value in parameters.items()
            if name in self._names
        }
        outputs = self._subject.forward(turned, bound)
        return {name: self._translation.turned_back(name, y) for name, y in outputs.items()}

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the latest forward."""
        turned = {name: self._translation.turned(name, g) for name, g in cotangents.items()}
        found = self._subject.vjp(turned)
        kind_names = {own: name for name, own in self.own_names.items()}
        named = {kind_names.get(own, own): gradient for own, gradient in found.items()}
        return {
            name: self._translation.back(name, gradient, self._given[name])
            for name, gradient in named.items()
            if name in self._given
        }


def _by_kind(own: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    if set(own) >= set(names):
        return {name: name for name in names}
    found = {usual_name(name, names): name for name in own}
    if len(found) == len(own) and None not in found:
        return {str(name): mine for name, mine in found.items()}
    return dict(zip(names, own, strict=False))
