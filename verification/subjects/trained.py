"""A layer with running statistics, as a function: of its input, and of the batches that it was
trained on before.

What such a layer computes outside of training depends on its past. So the past is given like any
other input: a fresh layer sees it in training, and is judged on what it then makes of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from gradcheck.subjects import Subject
from verification.references.laws.law import INPUT

EARLIER = "earlier"
"""Earlier batches are the inputs "earlier.0", "earlier.1", ..."""


class Trained:
    """A fresh subject for every forward; `make` builds one that trains when told to.

    A subject whose forward leaves no traces has `observe(x)` instead, a training pass that does.
    """

    offers: frozenset[str] = frozenset()

    def __init__(self, make: Callable[[], Subject]) -> None:
        self._make = make
        self._subject: Any = make()

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked is asked of the latest subject."""
        return getattr(self._subject, name)

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The output, after a training pass over each earlier batch."""
        subject: Any = self._make()
        self._subject = subject
        subject.train(True)
        for name, x in inputs.items():
            if name.startswith(EARLIER) and hasattr(subject, "observe"):
                subject.observe(x)
            elif name.startswith(EARLIER):
                subject.forward({INPUT: x}, parameters)
        subject.train(False)
        outputs: dict[str, Tensor] = subject.forward({INPUT: inputs[INPUT]}, parameters)
        return outputs

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradients of the latest forward; those of earlier batches are none of its work."""
        gradients: dict[str, Tensor] = self._subject.vjp(cotangents)
        return gradients
