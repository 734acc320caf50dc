"""Maps, layers and tensors that gradcheck's promises are about."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import scratch_layers as sl
from verification.meta.gradients.promise import numbers


class Cube(torch.autograd.Function):
    """x^3, right once; heirs say how far their backward can be differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3


def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


def convolve(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.conv2d(x, w, b, stride=(2, 1), padding=(1, 0))


def perceptron(*sizes: int, dtype: torch.dtype = torch.float64) -> nn.Module:
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(sizes)):
        layer = nn.Linear(before, after)
        layer.weight.data = numbers(after, before, seed=i, dtype=dtype) / before**0.5
        layer.bias.data = numbers(after, seed=i + 20, dtype=dtype)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def cell(x: Tensor, state: dict[str, Tensor], scale: float) -> tuple[Tensor, dict[str, Tensor]]:
    hidden = torch.tanh(scale * x + state["hidden"])
    return hidden, {"hidden": hidden * state["hidden"]}


def far_and_near(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers of sizes 1e-6 to 1e6."""
    exponents = torch.linspace(-6, 6, int(torch.tensor(shape).prod()), dtype=torch.float64)
    return (numbers(*shape) * 10 ** exponents.reshape(shape)).to(dtype)


def coarse(x: Tensor) -> Tensor:
    """A function that rounds to a few digits inside; its gradient is that of what it rounds."""
    return x.sin() + (x.cos().half().to(x) - x.cos()).detach()


class Pair(NamedTuple):
    """An argument with fields."""

    weight: Tensor
    rest: None


class SharedMemory:
    """A layer by hand with a parameter; it writes every result into the same memory."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(numbers(4, seed=3), requires_grad=False)
        self.weight.grad = torch.ones(4, dtype=torch.float64)
        self.memory = torch.empty(3, 4, dtype=torch.float64)

    def parameters(self) -> list[nn.Parameter]:
        return [self.weight]

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return self.memory.copy_(x.square() * self.weight)

    def backward(self, grad_output: Tensor) -> Tensor:
        assert self.weight.grad is not None
        self.weight.grad += (grad_output * self.x.square()).sum(0)
        return 2 * grad_output * self.x * self.weight


class OwnReference:
    """A layer that adds to the gradient's memory by a name of its own."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(numbers(4, seed=3), requires_grad=False)
        self.weight.grad = self.sum = torch.ones(4, dtype=torch.float64)

    def parameters(self) -> list[nn.Parameter]:
        return [self.weight]

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return x.exp() * self.weight

    def backward(self, grad_output: Tensor) -> Tensor:
        self.sum += (grad_output * self.x.exp()).sum(0)
        return grad_output * self.x.exp() * self.weight


class Pairs:
    """A layer that knows its parameter as a pair of value and gradient only."""

    def __init__(self) -> None:
        self.value, self.gradient = numbers(4, seed=3), torch.ones(4, dtype=torch.float64)

    def param(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.value, self.gradient)]

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return x.exp() * self.value

    def backward(self, grad_output: Tensor) -> Tensor:
        self.gradient += (grad_output * self.x.exp()).sum(0)
        return grad_output * self.x.exp() * self.value


class Loss:
    """Takes no cotangent, and has no gradient for its target."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self.difference = input - target
        return self.difference.square().sum()

    def backward(self) -> Tensor:
        return 2 * self.difference


def scaled(layer: sl.Module, dtype: torch.dtype = torch.float64) -> sl.Module:
    """A shipped layer with normal parameters."""
    layer = layer.to(dtype=dtype)
    for i, parameter in enumerate(layer.parameters()):
        parameter.data = numbers(*parameter.data.shape, seed=i, dtype=dtype)
    return layer
