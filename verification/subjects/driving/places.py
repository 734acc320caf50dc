"""One parameter of a hand-written layer: how its value and its gradient are read and written.

What is read is read again every time: many a backward binds its gradients anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor


class Place(Protocol):
    """One parameter of a layer."""

    @property
    def name(self) -> str:
        """What the layer calls it."""

    @property
    def value(self) -> Tensor:
        """The tensor that the layer reads now."""

    @property
    def gradient(self) -> Tensor | None:
        """What its latest backward left."""

    def rebind(self, value: Tensor) -> None:
        """Let the layer use this value."""

    def zero(self) -> None:
        """Empty the gradient."""


@dataclass(frozen=True)
class Way:
    """How something in a layer is read: a function of nothing, and an expression for it."""

    read: Callable[[], Any]
    code: str

    def __call__(self) -> Any:
        """What is there now."""
        return self.read()


class Stored:
    """A parameter that is a bare tensor or array, known by how it and its gradient are read."""

    def __init__(self, name: str, read: Way, read_gradient: Callable[[], Way | None]) -> None:
        self.name = name
        self._read = read
        self._way_of_gradient = read_gradient

    @property
    def code(self) -> tuple[str, str]:
        """Expressions for the value and the gradient; an empty one where that is not kept."""
        gradient = self._way_of_gradient()
        return self._read.code, "" if gradient is None else gradient.code

    def _read_gradient(self) -> Any:
        way = self._way_of_gradient()
        return None if way is None else way()

    @property
    def value(self) -> Tensor:
        """The tensor that the layer reads now; an array shares its memory."""
        return _tensor(self._read())

    @property
    def gradient(self) -> Tensor | None:
        """What the layer's latest backward left, None where there is nothing yet."""
        try:
            found = self._read_gradient()
        except (KeyError, IndexError):  # its place is made by the first backward
            return None
        return None if found is None else _tensor(found)

    def rebind(self, value: Tensor) -> None:
        """Let the layer use this value, wherever else it holds the same tensor or array."""
        held = self._read()
        if isinstance(held, Tensor) and held.dtype == value.dtype:
            held.data = value
        if self.value.data_ptr() != value.data_ptr():  # an array, or a view made for the occasion
            self.value.copy_(value)

    def zero(self) -> None:
        """Empty the gradient, where there is one."""
        if self.gradient is not None:
            self.gradient.zero_()


def _tensor(found: Any) -> Tensor:
    if isinstance(found, Tensor):
        return found.detach()
    return torch.from_numpy(numpy.asarray(found))


def is_array(value: Any) -> bool:
    """Whether a value is a tensor or a numpy array."""
    return isinstance(value, (Tensor, numpy.ndarray))
