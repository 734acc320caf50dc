"""A subject of several outputs, which answer to the names of its kind; and which of what a forward
returns are outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from gradcheck.subjects import Subject


class Ordered:
    """The subject whose outputs have these names, in the order in which it returns them, whatever
    it calls them.
    """

    def __init__(self, subject: Subject, names: Sequence[str]) -> None:
        if hasattr(subject, "returns"):
            subject.returns = len(names)
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


def parted(returned: Any, count: int) -> tuple[list[Any], tuple[Any, ...]]:
    """The outputs among what a forward of a kind with `count` of them returned, and its cache.

    Parts that are as many as the outputs, nested or not, are the outputs; else the first part is,
    and the rest is kept for the backward.
    """
    if not isinstance(returned, tuple) or not returned or isinstance(returned[0], tuple):
        return [returned], ()
    each = list(parts(returned))
    if len(each) == count:
        return each, ()
    first, *cache = returned
    return [first], tuple(cache)


def parts(returned: Any) -> Iterator[Any]:
    """What was returned, out of tuples and lists in each other."""
    if isinstance(returned, (tuple, list)):
        for part in returned:
            yield from parts(part)
    else:
        yield returned
