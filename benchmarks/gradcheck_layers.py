"""What the gradient checkers are compared on: layers written by hand, and one wrong entry in them.

``torch.autograd.gradcheck`` judges functions of torch's own autograd, so a layer is handed to it
inside an ``autograd.Function`` that calls the very same forward and backward.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import scratch_layers as sl


@dataclass(frozen=True)
class Example:
    """A layer and an input for it, drawn N(0, 1)."""

    layer: Any
    input: Tensor


class MeanSquare:
    """The squared error against a fixed target, as a layer of one input and one output."""

    def __init__(self, target: Tensor, loss: Any = None) -> None:
        self._loss = sl.MSELoss() if loss is None else loss
        self._target = target

    def forward(self, x: Tensor) -> Tensor:
        return self._loss.forward(x, self._target)

    def backward(self, grad_output: Tensor) -> Tensor:
        return grad_output * self._loss.backward()


class OneWrongEntry:
    """A layer whose backward has one entry of the input's Jacobian too large by ``share`` of it.

    ``output`` and ``entry`` are flat indices within one sample; every sample is wrong alike.
    """

    def __init__(self, layer: Any, output: int, entry: int, share: float) -> None:
        self._layer, self._output, self._entry, self._share = layer, output, entry, share

    def named_parameters(self) -> list[tuple[str, Any]]:
        parameters: list[tuple[str, Any]] = getattr(self._layer, "named_parameters", list)()
        return parameters

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self._layer.forward(x)
        return result

    def backward(self, grad_output: Tensor) -> Tensor:
        part = torch.zeros_like(grad_output, memory_format=torch.contiguous_format)
        samples = part.numel() // self._outputs(part)
        one = part.view(samples, -1)
        one[:, self._output] = grad_output.reshape(samples, -1)[:, self._output]
        kept = [parameter.grad.clone() for _, parameter in self.named_parameters()]
        wrong: Tensor = self._layer.backward(part).reshape(samples, -1)[:, self._entry]
        for (_, parameter), gradient in zip(self.named_parameters(), kept, strict=True):
            parameter.grad.copy_(gradient)
        backward: Tensor = self._layer.backward(grad_output)
        gradient = backward.clone(memory_format=torch.contiguous_format)
        gradient.view(samples, -1)[:, self._entry] += self._share * wrong
        return gradient

    def _outputs(self, cotangent: Tensor) -> int:
        """Outputs of one sample; the loss has one for all of them."""
        return cotangent[0].numel() if cotangent.dim() else 1


def _two_convolutions(between: Any, dtype: torch.dtype) -> Any:
    return sl.Sequential(
        sl.Conv2d(2, 3, 3, padding=1, dtype=dtype),
        between,
        sl.Conv2d(3, 2, 3, padding=1, dtype=dtype),
    )


LAYERS: dict[str, Callable[[torch.dtype], Any]] = {
    "Conv2d": lambda dtype: sl.Conv2d(2, 3, 3, stride=2, padding=1, dtype=dtype),
    "ConvTranspose2d": lambda dtype: sl.ConvTranspose2d(2, 2, 3, stride=2, dtype=dtype),
    "NearestUpsampling": lambda dtype: sl.NearestUpsampling(1.7),
    "ReLU": lambda dtype: sl.ReLU(),
    "Sigmoid": lambda dtype: sl.Sigmoid(),
    "MSE": lambda dtype: MeanSquare(torch.randn(1, 2, 6, 5, dtype=dtype)),
    "conv-sigmoid-conv": lambda dtype: _two_convolutions(sl.Sigmoid(), dtype),
    "conv-ReLU-conv": lambda dtype: _two_convolutions(sl.ReLU(), dtype),
}
DEEP = ("conv-sigmoid-conv", "conv-ReLU-conv")
AFFINE = ("Conv2d", "ConvTranspose2d", "NearestUpsampling")


def example(name: str, seed: int, dtype: torch.dtype) -> Example:
    """One of ``LAYERS`` with an input of 60 numbers; parameters are N(0, 1) as well."""
    torch.manual_seed(seed)
    layer = LAYERS[name](dtype)
    if hasattr(layer, "parameters"):
        for parameter in layer.parameters():
            parameter.data = torch.randn_like(parameter.data)
    return Example(layer, torch.randn(1, 2, 6, 5, dtype=dtype))


def jacobian_by_backward(layer: Any, x: Tensor) -> Tensor:
    """The layer's own Jacobian, [outputs, inputs], one backward for each output."""
    y = layer.forward(x)
    rows = []
    for output in range(y.numel()):
        unit = torch.zeros(y.numel(), dtype=y.dtype)
        unit[output] = 1
        rows.append(layer.backward(unit.reshape(y.shape)).flatten())
    return torch.stack(rows)


def as_torch_function(layer: Any) -> Callable[..., Tensor]:
    """``f(x, *parameters)`` through an ``autograd.Function`` that runs the layer's own backward.

    A backward follows other forwards there, so the layer sees its own input again first.
    """
    held = [parameter for _, parameter in getattr(layer, "named_parameters", list)()]

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, *values: Tensor) -> Tensor:
            ctx.save_for_backward(x, *values)
            return _run(x, values)

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, ...]:
            x, *values = ctx.saved_tensors
            _run(x, values)
            for parameter in held:
                parameter.grad.zero_()
            gradient = layer.backward(*grad_outputs)
            return (gradient, *(parameter.grad.clone() for parameter in held))

    def _run(x: Tensor, values: Any) -> Tensor:
        for parameter, value in zip(held, values, strict=True):
            parameter.data = value.detach()
        result: Tensor = layer.forward(x.detach())
        return result

    function: Callable[..., Tensor] = Function.apply
    return function
