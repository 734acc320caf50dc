"""What is judged in whatever form it is written, and is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import scratch_layers as sl
from gradcheck import AutogradFunctionSubject, FunctionSubject, LayerSubject, check_gradients
from verification.meta.gradients.maps import Cube, Loss, OwnReference, Pairs
from verification.meta.gradients.promise import Promise, holds, numbers, refuses, right


class Weighted(OwnReference):
    """Its backward writes to the memory that the weight had at first."""

    def __init__(self, gradient: Tensor | None = None) -> None:
        super().__init__()
        self.weight.grad, self.own = gradient, self.weight.data

    def backward(self, grad_output: Tensor) -> Tensor:
        assert self.weight.grad is not None
        self.weight.grad += (grad_output * self.x.exp()).sum(0)
        self.own.zero_()
        return grad_output * self.x.exp() * self.weight


class Stops(Weighted):
    """Never ends a backward."""

    def backward(self, grad_output: Tensor) -> Tensor:
        super().backward(grad_output)
        raise ArithmeticError


class Plain(Cube):
    """x^3, which knows nothing but backward."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad_outputs[0]


class Twice(torch.autograd.Function):
    """2 x, with a rule for many at once."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return 2 * grad_outputs[0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor) -> Any:
        return 2 * x, in_dims[0]


def _held(layer: Any) -> list[Tensor | None]:
    """The tensors of a layer."""
    if hasattr(layer, "param"):
        return [tensor for pair in layer.param() for tensor in pair]
    return [tensor for p in layer.parameters() for tensor in (p.data, p.grad)]


def _put_back(make: Callable[[], Any]) -> str:
    """A check leaves a layer's tensors, the same ones, as they were, also where it fails."""
    layer = make()
    before = _held(layer)
    kept = [None if tensor is None else tensor.clone() for tensor in before]
    with suppress(ArithmeticError):
        check_gradients(layer, numbers(3, 4))
    for old, copy, new in zip(before, kept, _held(layer), strict=True):
        if old is None or copy is None or new is None:
            same = old is new
        else:
            same = old.data_ptr() == new.data_ptr() and torch.equal(new, copy)
        if not same:
            return f"{new} where {copy} was"
    return ""


def _buffers() -> str:
    batch = nn.BatchNorm1d(3).double()
    before = {name: buffer.clone() for name, buffer in batch.named_buffers()}
    check_gradients(batch, numbers(4, 3))
    same = all(torch.equal(buffer, before[name]) for name, buffer in batch.named_buffers())
    return "" if same else f"{dict(batch.named_buffers())}"


def _offers() -> str:
    expected = {
        LayerSubject(Pairs()): {"accumulate"},
        LayerSubject(Loss()): set(),
        LayerSubject(sl.ReLU()): {"zero", "state"},
        AutogradFunctionSubject(Plain): {"double_backward"},
        AutogradFunctionSubject(Twice): {"double_backward", "vmap"},
    }
    got = {subject: set(subject.offers) for subject in expected}
    return "" if got == expected else f"{[*got.values()]}"


def _again() -> str:
    """Gradients of one forward can be asked for twice, and carry no graph."""
    subject = FunctionSubject(torch.exp)
    value = subject.forward({"input": numbers(3)}, {})["output"]
    first, again = (subject.vjp({"output": numbers(3, seed=s)})["input"] for s in (1, 2))
    right = torch.equal(first, numbers(3, seed=1) * value)
    right = right and torch.equal(again, numbers(3, seed=2) * value)
    return "" if right and not again.requires_grad else f"{first}, {again}"


WEIGHTED = {"judged": ("input", "weight"), "modes": ()}

PROMISES: tuple[Promise, ...] = (
    right("a layer without gradients yet", lambda: (Weighted(), numbers(3, 4)), **WEIGHTED),
    right("a Function with a backward alone", lambda: (Plain, numbers(3)), modes=()),
    right("a Function with a rule", lambda: (Twice, numbers(3)), basis="exact", modes=("vmap",)),
    *(
        holds(f"all is put back: {make.__name__}", partial(_put_back, make))
        for make in (Weighted, Stops, OwnReference, Pairs)
    ),
    holds(
        "all is put back: a gradient of ones",
        partial(_put_back, lambda: Weighted(torch.ones(4, dtype=torch.float64))),
    ),
    holds("all is put back: buffers", _buffers),
    holds("what is offered", _offers),
    holds("gradients twice", _again),
    refuses("nothing like a layer", lambda: LayerSubject(3), TypeError, r"without forward\(\)"),
    refuses("half a layer", lambda: LayerSubject(nn.ReLU()), TypeError, r"without backward\(\)"),
)
