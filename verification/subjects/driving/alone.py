"""A subject that takes one sample, as one of batches: it is given the samples in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gradcheck.subjects import Subject


class Alone:
    """The subject of a batch along axis 0 of its one input. Since it keeps what a backward needs of
    one sample only, every sample's forward runs once more before its backward. Of a batch of none
    it computes what a sample of zeros would give, for the shapes.
    """

    offers: frozenset[str] = frozenset()

    def __init__(self, subject: Subject) -> None:
        self.name = subject.name
        self._subject = subject
        self._input = "input"
        self._batch = torch.empty(0)
        self._parameters: Mapping[str, Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked is asked of the subject, but for the layer, which has no batch."""
        if name == "layer":
            raise AttributeError(f"{self.name} takes one sample at a time")
        return getattr(self._subject, name)

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The outputs of all samples."""
        ((self._input, self._batch),) = inputs.items()
        self._parameters = parameters
        each = [self._subject.forward({self._input: x}, parameters) for x in self._samples()]
        stacked = {name: torch.stack([outputs[name] for outputs in each]) for name in each[0]}
        return {name: y[: len(self._batch)] for name, y in stacked.items()}

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradients of the input, sample by sample, and the sums of the parameters'."""
        found: dict[str, list[Tensor]] = {}
        for place, x in enumerate(self._samples()):
            self._subject.forward({self._input: x}, self._parameters)
            given = {n: _padded(g)[place] for n, g in cotangents.items()}
            for name, gradient in self._subject.vjp(given).items():
                found.setdefault(name, []).append(gradient)
        stacked = {name: torch.stack(each) for name, each in found.items()}
        return {
            name: g[: len(self._batch)] if name == self._input else g.sum(0)
            for name, g in stacked.items()
        }

    def _samples(self) -> Tensor:
        return _padded(self._batch.detach())


def _padded(batch: Tensor) -> Tensor:
    """A batch of at least one sample."""
    return batch if len(batch) else batch.new_zeros(1, *batch.shape[1:])
