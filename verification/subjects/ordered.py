"""A subject of several outputs, which answer to the names of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gradcheck.subjects import Subject


class Ordered:
    """The subject whose outputs have these names, in the order in which it returns them, whatever
    it calls them.
    """

    def __init__(self, subject: Subject, names: Sequence[str]) -> None:
        self._subject = subject
        self._names = names
        self._own_names: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked is asked of the subject."""
        return getattr(self._subject, name)

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The outputs by the kind's names."""
        outputs = self._subject.forward(inputs, parameters)
        self._own_names = dict(zip(self._names, outputs, strict=False))
        return {name: outputs[own] for name, own in self._own_names.items()}

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradients of the latest forward."""
        own = {self._own_names.get(name, name): g for name, g in cotangents.items()}
        return self._subject.vjp(own)
