"""Where a hand-written layer keeps its parameters: objects with data and grad, or bare pairs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Holder:
    """One parameter kept as an object with ``data`` and ``grad``."""

    def __init__(self, name: str, parameter: Any) -> None:
        self.name = name
        self._parameter = parameter

    @property
    def value(self) -> Tensor:
        """The tensor that the layer reads now."""
        data: Tensor = self._parameter.data
        return data

    @property
    def gradient(self) -> Tensor | None:
        """The buffer that backward adds to."""
        grad: Tensor | None = self._parameter.grad
        return grad

    def rebind(self, value: Tensor) -> None:
        """Let the layer use this value."""
        self._parameter.data = value

    def zero(self) -> None:
        """Empty the gradient buffer."""
        grad, data = self._parameter.grad, self._parameter.data
        if grad is not None and grad.shape == data.shape and grad.dtype == data.dtype:
            grad.zero_()  # in place: a layer may keep its own reference to the buffer
        else:
            self._parameter.grad = torch.zeros_like(data)

    def keep(self) -> Callable[[], None]:
        """Remember the tensors of value and gradient; the result binds both again."""
        parameter, value, gradient = self._parameter, self.value, self.gradient

        def put_back() -> None:
            parameter.data, parameter.grad = value, gradient

        return put_back


class Pair:
    """One parameter known only as a (value, gradient) pair of tensors in ``layer.param()``."""

    def __init__(self, name: str, layer: Any, index: int) -> None:
        self.name = name
        self._layer = layer
        self._index = index

    @property
    def value(self) -> Tensor:
        """The tensor that the layer reads now."""
        value: Tensor = self._layer.param()[self._index][0]
        return value

    @property
    def gradient(self) -> Tensor | None:
        """The buffer that backward adds to."""
        gradient: Tensor | None = self._layer.param()[self._index][1]
        return gradient

    def rebind(self, value: Tensor) -> None:
        """Let the layer use this value."""
        self.value.copy_(value)  # a pair gives no place to bind another tensor to

    def zero(self) -> None:
        """Empty the gradient buffer."""
        if self.gradient is not None:
            self.gradient.zero_()

    def keep(self) -> Callable[[], None]:
        """Nothing to do: the layer keeps the tensors that it has."""
        return lambda: None


def find_parameters(layer: Any) -> list[Holder | Pair]:
    """The parameters of ``layer`` in its own order: by named_parameters, parameters or param."""
    if hasattr(layer, "named_parameters"):
        return [Holder(name, parameter) for name, parameter in layer.named_parameters()]
    if hasattr(layer, "parameters"):
        held = list(layer.parameters())
        return [Holder(_name_of(layer, p, i), p) for i, p in enumerate(held)]
    if hasattr(layer, "param"):
        pairs = list(layer.param())
        return [Pair(_name_of(layer, value, i), layer, i) for i, (value, _) in enumerate(pairs)]
    return []


def _name_of(layer: Any, value: object, place: int) -> str:
    """The attribute of the layer that holds this very object, or its place in the list."""
    attributes: dict[str, object] = vars(layer)
    for name, attribute in attributes.items():
        if attribute is value:
            return name
    return f"parameter_{place}"
