"""What is no wrong number, each told by its name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from verification.meta.gradients.maps import Cube
from verification.meta.gradients.promise import BOTH, Promise, complains, numbers, right


class Writes:
    """Scales its input, and knows it."""

    def forward(self, x: Tensor) -> Tensor:
        self.slope = 2 * x.cos()
        return x.copy_(2 * x.sin())

    def backward(self, grad_output: Tensor) -> Tensor:
        return grad_output * self.slope


class WritesToOneRow:
    """Scales the first row of its input, and with it all rows where they are one in memory."""

    def forward(self, x: Tensor) -> Tensor:
        self.slope, y = x.cos(), x.sin()
        x[0].mul_(2)
        return y

    def backward(self, grad_output: Tensor) -> Tensor:
        return grad_output * self.slope


def restless(f: Callable[[Tensor], Tensor] = torch.sin) -> Callable[[Tensor], Tensor]:
    count = itertools.count()
    return lambda x: f(x) + next(count) * 1e-3


def growing() -> Callable[[Tensor], Tensor]:
    lengths = itertools.count(2)
    return lambda x: x.sin()[: next(lengths)]


STRAY = 2.0**-20


def stray_by_layout(errors: float) -> Callable[[], tuple[Any, ...]]:
    """A square that is off by so many of its errors where the input lies in order."""
    x = numbers(2, 3).T / 1024
    error = STRAY * x.abs().max().item()

    def f(x: Tensor) -> Tensor:
        return x * x + (errors * error if x.is_contiguous() else 0)

    return lambda: (f, x)


def analysis_of_strays(inputs: Any, parameters: Any) -> dict[str, Tensor]:
    largest = inputs["input"].abs().max().item()
    return {"output": torch.full((6,), STRAY * largest, dtype=torch.float64)}


def by_layout(x: Tensor) -> Tensor:
    return x.sin() * (1 if x.is_contiguous() else 2)


class Halves(torch.autograd.Function):
    """Two outputs; a loss that leaves one out finds None there, and this backward another rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return x.sin(), 2 * x

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> Tensor:
        (x,) = ctx.saved_tensors
        first, second = grad_outputs
        if second is None:
            assert first is not None
            return first
        return (0 if first is None else first * x.cos()) + 2 * second


class Stumbles(Halves):
    """Adds what may be None."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Tensor:
        (x,) = ctx.saved_tensors
        gradient: Tensor = grad_outputs[0] * x.cos() + 2 * grad_outputs[1]
        return gradient


class CutOff(Cube):
    """The double backward is cut off in silence."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (3 * x.detach() ** 2 * grad_outputs[0].detach()).detach()


class Refused(Cube):
    """The double backward raises an error."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad_outputs[0]


class Loss:
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self.difference = input - target
        return self.difference.square().sum()

    def backward(self) -> Tensor:
        return 2 * self.difference


OTHER_VALUES = r"called again with the same tensors gives other values, off by up to 0\.00"

PROMISES: tuple[Promise, ...] = (
    complains(
        "an input written to", lambda: (Writes(), numbers(4)), "^input was written to: forward and"
    ),
    complains(
        "an input written to whose rows are one",
        lambda: (WritesToOneRow(), numbers(3).expand(2, 3)),
        "^input was written to: ",
    ),
    complains(
        "a cotangent written to",
        lambda: ((torch.sin, lambda x, g: g.mul_(x.cos())), numbers(3, 2)),
        "^output was written to: ",
        "^output was written to: ",
    ),
    complains(
        "no value",
        lambda: (torch.log, torch.tensor([1.0, -1.0]).double()),
        "^output holds NaN: ",
    ),
    complains("another value each time", lambda: (restless(), numbers(3)), OTHER_VALUES),
    complains(
        "another value each time, one output",
        lambda: (restless(torch.sum), numbers(3)),
        OTHER_VALUES,
    ),
    complains(
        "another shape each time",
        lambda: ((growing(), lambda x, g: x), numbers(9)),
        r"have shapes \{'output': '\[2\]'\} in one call and \{'output': '\[3\]'\} in another",
    ),
    complains(
        "another value by layout",
        lambda: (by_layout, numbers(2, 3).T),
        "called with contiguous copies of the same tensors gives other values, off by up to",
    ),
    complains(
        "another value by layout, off by more than two errors",
        stray_by_layout(2.5),
        "called with contiguous copies of the same tensors gives other values, off by up to",
        evaluation_error=analysis_of_strays,
    ),
    right(
        "another value by layout, off by less than two errors",
        stray_by_layout(1.5),
        modes=(),
        refused=BOTH,
        evaluation_error=analysis_of_strays,
    ),
    complains(
        "no gradient that was asked for",
        lambda: (Loss(), numbers(3), numbers(3, seed=1)),
        "^target gets no gradient$",
        wrt=["target"],
    ),
    complains(
        "a gradient that is no tensor",
        lambda: ((lambda x: x.sum(), lambda x, g: 1.0), numbers(3)),
        "^input gradient is a float: backward must return a tensor$",
    ),
    complains(
        "a gradient of another shape",
        lambda: ((torch.sin, lambda x, g: (g * x.cos()).T), numbers(3, 2)),
        r"^input gradient has shape \[2, 3\], its tensor \[3, 2\]$",
    ),
    complains(
        "a gradient of another dtype",
        lambda: ((torch.sin, lambda x, g: (g * x.cos()).float()), numbers(3, 2)),
        r"^input gradient has dtype torch\.float32, its tensor torch\.float64$",
    ),
    complains(
        "a real gradient of a complex input",
        lambda: (
            (torch.exp, lambda z, g: (g * z.exp().conj()).real),
            numbers(4, dtype=torch.complex128),
        ),
        r"^input gradient has shape \[4\], its tensor \[4, 2\]$",
    ),
    complains(
        "an output without a cotangent",
        lambda: (Halves, numbers(3)),
        r"^input gradient is another one without a cotangent of \['output_1'\] than with zeros",
    ),
    complains(
        "an output without a cotangent, which is added",
        lambda: (Stumbles, numbers(3)),
        r"^backward without a cotangent of \['output_1'\] raised TypeError: .*None stands for",
    ),
    complains(
        "a double backward that is cut off",
        lambda: (CutOff, numbers(5)),
        "^cut off: backward computes on tensors without a graph",
        second_order=True,
    ),
    complains(
        "a double backward that is refused",
        lambda: (Refused, numbers(5)),
        "^refused by once_differentiable, which autograd takes for zero",
        second_order=True,
    ),
)
