"""Wrong gradients of every sort, each with the tensor, the entries and the cause to be named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verification.meta.gradients.maps import Cube
from verification.meta.gradients.promise import (
    Promise,
    Subject,
    at,
    each,
    everywhere,
    numbers,
    wrong,
)

STRIDE, PADDING = (2, 1), (1, 0)
SHAPES = {"x": (2, 2, 5, 4), "w": (3, 2, 3, 2), "b": (3,)}

Vjp = Callable[..., Any]
Change = Callable[[Tensor], Tensor]


def convolve(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.conv2d(x, w, b, stride=STRIDE, padding=PADDING)


def convolution_vjp(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return (
        nn.grad.conv2d_input(x.shape, w, g, STRIDE, PADDING),
        nn.grad.conv2d_weight(x, w.shape, g, STRIDE, PADDING),
        g.sum((0, 2, 3)),
    )


def convolution(vjp: Vjp, dtype: torch.dtype = torch.float64) -> Callable[[], Subject]:
    """The convolution with this backward, before normal numbers."""

    def make() -> Subject:
        arguments = [
            numbers(*shape, seed=i, dtype=dtype) for i, shape in enumerate(SHAPES.values())
        ]
        return (convolve, vjp), *arguments

    return make


def but(name: str, change: Change) -> Vjp:
    """The right backward, with one gradient changed."""

    def vjp(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        gradients = dict(zip(SHAPES, convolution_vjp(x, w, b, g), strict=True))
        return tuple({**gradients, name: change(gradients[name].clone())}.values())

    return vjp


def put(place: tuple[Any, ...], value: float) -> Change:
    def change(gradient: Tensor) -> Tensor:
        gradient[place] = value
        return gradient

    return change


def cotangent_in_order(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    memory = torch.as_strided(g, (g.numel(),), (1,))
    return convolution_vjp(x, w, b, memory.reshape(g.shape))


def ones_as_cotangent(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    return convolution_vjp(x, w, b, torch.ones_like(g))


def first_sample(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    return *convolution_vjp(x, w, b, g)[:2], g[0].sum((1, 2))


EVERY = {name: everywhere(*shape) for name, shape in SHAPES.items()}


def _with(name: str, **more: Any) -> dict[str, Any]:
    return {name: everywhere(*SHAPES[name], **more)}


# The middle row of a kernel with three stays where it is.
OUTER_ROWS = at(
    *(entry for entry in everywhere(*SHAPES["w"]).entries if entry and entry[2] != 1),
    pattern="as if flipped along axis 2",
)

CONVOLUTION: dict[str, tuple[Vjp, dict[str, Any]]] = {
    "sign": (but("x", torch.neg), _with("x", ratio=-1.0, pattern="all with the wrong sign")),
    "zero": (but("w", torch.zeros_like), _with("w", ratio=0.0, pattern="all zero")),
    "half": (but("w", lambda g: g / 2), _with("w", ratio=0.5, pattern="all divided by 2")),
    "factor": (but("b", lambda g: g * 1.7), _with("b", ratio=1.7, pattern="all 1.7 times what is")),
    "flip": (but("w", lambda g: g.flip(2)), {"w": OUTER_ROWS}),
    "one entry": (but("w", put((2, 0, 1, 1), 0.25)), {"w": at((2, 0, 1, 1))}),
    "one channel": (but("b", put((1,), 0.0)), {"b": at((1,), ratio=0.0, pattern="all zero")}),
    "not a number": (but("x", put((0, 1, 4, 2), torch.nan)), {"x": at((0, 1, 4, 2))}),
    "infinite": (but("x", put((0, 1, 4, 2), torch.inf)), {"x": at((0, 1, 4, 2))}),
    "two tensors": (
        lambda x, w, b, g: (-convolution_vjp(x, w, b, g)[0], *convolution_vjp(x, w, b, -g)[1:]),
        EVERY,
    ),
    "cotangent of ones": (ones_as_cotangent, EVERY),
    "layout of the cotangent": (cotangent_in_order, EVERY),
    "bias of the first sample": (first_sample, _with("b")),
}


def _convolutions() -> Iterator[Promise]:
    for name, (vjp, faults) in CONVOLUTION.items():
        for dtype in (torch.float64, torch.float32):
            make = convolution(vjp, dtype)
            yield from each(wrong, f"{name} in a convolution, {dtype}", make, faults)


class Square(torch.autograd.Function):
    """x^2 w; each of its four derivatives can be off by a factor."""

    forward_factor = backward_factor = batched_factor = second_factor = 1.0
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, w: Tensor) -> Tensor:
        return x.square() * w

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @classmethod
    def backward(cls, ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        x, w = ctx.saved_tensors
        return 2 * cls.backward_factor * x * w * grad_outputs[0], x.square() * grad_outputs[0]

    @classmethod
    def jvp(cls, ctx: Any, *tangents: Tensor) -> Tensor:
        x, w = ctx.saved_tensors
        return 2 * cls.forward_factor * x * w * tangents[0] + x.square() * tangents[1]


class WrongForwardMode(Square):
    forward_factor = 1.5


class Backward(torch.autograd.Function):
    """2 g x, which forgets the 2 where many g come at once."""

    generate_vmap_rule = False

    @staticmethod
    def forward(x: Tensor, g: Tensor) -> Tensor:
        return 2 * g * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, g: Tensor) -> Any:
        return g * x, in_dims[1]


class WrongUnderVmap(torch.autograd.Function):
    """x^2, with that backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return Backward.apply(*ctx.saved_tensors, *grad_outputs)


class HalfCutOff(Cube):
    """The double backward takes one factor x for a constant."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x.detach() * x * grad_outputs[0]


class CubeSlope(torch.autograd.Function):
    """3 x^2 g; its derivative by g is a little too large."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor) -> Tensor:
        ctx.save_for_backward(x, g)
        return 3 * x**2 * g

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        x, g = ctx.saved_tensors
        return 6 * x * g * grad_outputs[0], (1 + 1e-9) * 3 * x**2 * grad_outputs[0]


class SlightlyOff(Cube):
    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        return CubeSlope.apply(*ctx.saved_tensors, *grad_outputs)


def kept_by_shape() -> Subject:
    """Right for ever at the point of its first call."""
    kept: dict[torch.Size, Tensor] = {}
    return (torch.sin, lambda x, g: g * kept.setdefault(x.shape, x.cos())), numbers(4, 3)


def kept_of_an_affine_map() -> Subject:
    kept: dict[torch.Size, Tensor] = {}

    def vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        return g @ kept.setdefault(w.shape, w).T, x.T @ g

    return (lambda x, w: x @ w, vjp), numbers(3, 4), numbers(4, 2, seed=1)


def ignores_the_inputs_layout() -> Subject:
    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return 2 * g * torch.as_strided(x, x.shape, torch.empty(x.shape).stride())

    # The corners lie in the same place either way, so that they are not wrong.
    return (torch.square, vjp), numbers(3, 4).T


def sixteen_bits_inside() -> Subject:
    def vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        return (g.half() @ w.half().T).to(g), x.T @ g

    return (lambda x, w: x @ w, vjp), numbers(3, 4), numbers(4, 2, seed=1)


class OneBuffer:
    """Every result in the same memory; the gradient is a third too small."""

    def __init__(self) -> None:
        self.memory = torch.empty(5, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return self.memory.copy_(x**3)

    def backward(self, grad_output: Tensor) -> Tensor:
        return 2 * self.x**2 * grad_output


class Forgetful(nn.Linear):
    """A weight without a gradient of its own."""

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight.detach() + 0 * self.weight, self.bias)


def spread_zeros() -> Subject:
    def vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        return g @ w.T, torch.ones_like(w)

    return (lambda x, w: x @ w, vjp), numbers(0, 3), numbers(3, 2)


def pair(f: Callable[..., Any], vjp: Vjp, *arguments: Tensor) -> Callable[[], Subject]:
    return lambda: ((f, vjp), *arguments)


BUT_CORNERS = everywhere(4, 3).entries - {(0, 0), (3, 2)}
KINK = torch.tensor([0.0, 1.0, -2.0]).double()
ONE = numbers(256)
LONG = numbers(90, 60)


def one_of_many(x: Tensor, g: Tensor) -> Tensor:
    gradient = g[:, None] * x.cos()
    gradient[71, 13] *= 1.001
    return gradient


OTHERS: tuple[Promise, ...] = (
    wrong(
        "beyond both slopes of a kink",
        pair(torch.abs, lambda x, g: g * torch.where(x == 0, 9.0, x.sign()), KINK),
        {"input": at((0,))},
    ),
    wrong(
        "slope of a rectifier",
        pair(torch.relu, lambda x, g: g * torch.where(x > 0, 0.5, 0.0), numbers(6)),
        {"input": at(*[(i,) for i in (numbers(6) > 0).nonzero().flatten().tolist()], ratio=0.5)},
    ),
    *each(
        wrong,
        "eleven times one of 256",
        pair(
            torch.sin,
            lambda x, g: g * x.cos() * torch.where(torch.arange(256) == 77, 11.0, 1.0),
            ONE,
        ),
        {"input": at((77,), ratio=11.0)},
    ),
    wrong(
        "one of 5,400", pair(lambda x: x.sin().sum(1), one_of_many, LONG), {"input": at((71, 13))}
    ),
    wrong("kept from the first call", kept_by_shape, {"input": everywhere(4, 3, where="beside")}),
    wrong("kept, of an affine map", kept_of_an_affine_map, {"x": everywhere(3, 4)}),
    wrong(
        "layout of a cotangent of one axis",
        pair(torch.sin, lambda x, g: g.as_strided(g.shape, (1,)) * x.cos(), numbers(5)),
        {"input": at((1,), (2,), (3,), (4,))},
    ),
    wrong("layout of the input", ignores_the_inputs_layout, {"input": at(*BUT_CORNERS)}),
    wrong("sixteen bits inside", sixteen_bits_inside, {"x": everywhere(3, 4)}),
    wrong(
        "one memory", lambda: (OneBuffer(), numbers(5)), {"input": everywhere(5, pattern="all 0.6")}
    ),
    wrong(
        "weight of a module",
        lambda: (Forgetful(4, 3).double(), numbers(2, 4)),
        {"weight": everywhere(3, 4, pattern="all zero")},
    ),
    wrong(
        "gradient of a constant",
        pair(lambda x: 0 * x + 3, lambda x, g: g, numbers(4)),
        {"input": everywhere(4)},
    ),
    wrong("nothing goes in", spread_zeros, {"w": everywhere(3, 2)}),
    wrong(
        "conjugate",
        pair(
            lambda z: z * z,
            lambda z, g: 2 * g * z,
            numbers(3, dtype=torch.complex128),
        ),
        {"input": everywhere(3, 2)},
    ),
    *each(
        wrong,
        "forward mode",
        lambda: (WrongForwardMode, numbers(5), numbers(5, seed=1)),
        {"input_0": at(None, mode="forward mode")},
    ),
    *each(
        wrong,
        "under vmap",
        lambda: (WrongUnderVmap, numbers(5)),
        {"input": at(None, mode="vmap")},
    ),
    wrong(
        "double backward, off by 1e-9",
        lambda: (SlightlyOff, numbers(4)),
        {"cotangent of output": everywhere(4)},
        second_order=True,
    ),
    *each(
        wrong,
        "double backward",
        lambda: (HalfCutOff, numbers(5)),
        {"input": everywhere(5, pattern="all divided by 2")},
        second_order=True,
    ),
)

PROMISES = (*_convolutions(), *OTHERS)
