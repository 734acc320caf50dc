"""A subject on an accelerator, as one of the host: for a judge that does its own sums there."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gradcheck.subjects import Subject


class Hosted:
    """Takes tensors of the host to the subject's device, and its results back."""

    offers: frozenset[str] = frozenset()

    def __init__(self, subject: Subject, device: torch.device) -> None:
        self.name = subject.name
        self._subject = subject
        self._device = device

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The subject's outputs, on the host."""
        return on_host(self._subject.forward(self._moved(inputs), self._moved(parameters)))

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The subject's gradients, on the host."""
        return on_host(self._subject.vjp(self._moved(cotangents)))

    def _moved(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self._device) for name, tensor in tensors.items()}


def on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by name, on the CPU."""
    return {name: tensor.cpu() for name, tensor in tensors.items()}
