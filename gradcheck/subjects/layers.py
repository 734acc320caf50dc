"""Subjects with a backward of their own: hand-written layers."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gradcheck.subjects.held_parameters import find_parameters
from gradcheck.subjects.memory import putting_back
from gradcheck.subjects.protocol import named_outputs


class LayerSubject:
    """A hand-written object with ``forward`` and ``backward``.

    Its parameters are found by ``named_parameters()``, else ``parameters()`` (objects with ``data``
    and ``grad``), else ``param()`` (pairs of value and gradient); those without a name take that of
    the attribute that holds them, or their place. Values given to ``forward`` are rebound
    (``p.data = value``), not copied, whatever their memory layout; ``restoring`` puts things back.
    ``backward`` takes the cotangents in the order of the outputs and returns the gradient of the
    input, or a tuple for the first inputs. One that takes no argument is a loss's: its result is
    the gradient for cotangent 1.
    """

    arrange: Callable[[list[Tensor]], tuple[Any, ...]] = tuple

    def __init__(self, layer: Any) -> None:
        for method in ("forward", "backward"):
            if not callable(getattr(layer, method, None)):
                raise TypeError(
                    f"layer is a {type(layer).__name__} without {method}(): a hand-written layer"
                    " has forward(x) and backward(grad_output)"
                )
        self.layer = layer
        self.name = type(layer).__name__
        self._parameters = {p.name: p for p in find_parameters(layer)}
        self._takes_cotangent = bool(inspect.signature(layer.backward).parameters)
        self._input_names: tuple[str, ...] = ()
        offers = {"accumulate"} if self._parameters else set()
        offers |= {"zero"} if hasattr(layer, "zero_grad") else set()
        offers |= {"state"} if hasattr(layer, "state_dict") else set()
        self.offers = frozenset(offers)

    def parameters(self) -> dict[str, Tensor]:
        """Copies of the layer's own parameter values by name."""
        return {name: p.value.detach().clone() for name, p in self._parameters.items()}

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name, after the given parameters were rebound; ValueError for unknown ones."""
        for name, value in parameters.items():
            if name not in self._parameters:
                raise ValueError(
                    f"parameter {name!r} is unknown to {self.name}: it has {list(self._parameters)}"
                )
            self._parameters[name].rebind(value)
        self._input_names = tuple(inputs)
        return named_outputs(self.layer.forward(*self.arrange(list(inputs.values()))))

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the latest forward: the buffers are zeroed first."""
        for parameter in self._parameters.values():
            parameter.zero()
        if self._takes_cotangent:
            returned = self.layer.backward(*cotangents.values())
        else:
            (cotangent,) = cotangents.values()
            returned = self.layer.backward() * cotangent.detach()
        by_input = returned if isinstance(returned, (tuple, list)) else (returned,)
        gradients: dict[str, Tensor] = {
            name: gradient
            for name, gradient in zip(self._input_names, by_input, strict=False)
            if gradient is not None
        }
        for name, parameter in self._parameters.items():
            buffer = parameter.gradient
            # a copy: the layer's buffer is zeroed and filled again by the next call
            gradients[name] = (
                torch.zeros_like(parameter.value) if buffer is None else buffer.clone()
            )
        return gradients

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Put parameter values and gradients back at the end, also after an exception."""
        held = self._parameters.values()
        tensors = [t for p in held for t in [p.value, p.gradient] if t is not None]
        kept = [parameter.keep() for parameter in held]
        with putting_back({str(i): tensor for i, tensor in enumerate(tensors)}):
            try:
                yield
            finally:
                for put_back in kept:
                    put_back()
