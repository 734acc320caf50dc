"""What a report says, what a check costs, and that it leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradcheck import GradientError, check_gradients
from gradcheck.rounding import NOISE_SAFETY
from verification.meta.gradients.promise import Promise, holds, numbers


def _right() -> str:
    report = check_gradients(torch.tanh, numbers(3, 4))
    start = "gradients of tanh right within estimated bounds (input): "
    end = f"; noise estimated, taken {NOISE_SAFETY:g} times"
    middle = "is missed with probability 2e-05 at most"
    said = str(report)
    report.raise_for_failure()
    fits = said.startswith(start) and said.endswith(end) and middle in said
    return "" if fits and f"{report.comparisons} comparisons" in said else said


def _wrong() -> str:
    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return g * torch.where(x > 1, 0.5, 1.0)

    given = {"output": torch.full((4,), 2.0, dtype=torch.float64)}
    report = check_gradients((lambda x: x * 1.0, vjp), torch.arange(4.0).double(), cotangents=given)
    said = str(report)
    expected = "wrong at [2]: analytic 1, numerical 2 ± "
    parts = (expected, "ratio 0.5000; 2 of 4 entries differ, all divided by 2")
    (tensor,) = report.to_dict()["tensors"]  # type: ignore[misc]
    data = (tensor["size"], tensor["pattern"], [m["entry"] for m in tensor["mismatches"]])
    try:
        report.raise_for_failure()
    except GradientError as error:
        fits = error.report is report and str(error) == said
        right = fits and data == (4, "all divided by 2", [[2], [3]])
        return "" if right and all(part in said for part in parts) else f"{said}, {data}"
    return "nothing is raised"


def _undecided() -> str:
    report = check_gradients(torch.exp, 300 * numbers(6, dtype=torch.float32))
    said = str(report)
    return "" if ": 0 comparisons, 12 undecided; noise" in said else said


def _shared_index() -> str:
    def vjp(x: Tensor, g: Tensor) -> Tensor:
        gradient = g * x.cos()
        gradient[1] *= 0.3
        return gradient

    said = str(check_gradients((torch.sin, vjp), numbers(3, 4), method="full"))
    return "" if said.count("all at index 1 of axis 0") == 1 else said


def _picture() -> str:
    report = check_gradients((torch.sin, lambda x, g: -g * x.cos()), numbers(3, 4))
    figure = report.picture()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    try:
        check_gradients(torch.sin, numbers(3)).picture()
    except ValueError as error:
        known = "whole gradients are known of []" in str(error)
        return "" if known and titles[:3] == ["expected", "got", "got - expected"] else f"{titles}"
    return "a picture of nothing"


def _progress() -> str:
    lines: list[str] = []

    def slow(x: Tensor) -> Tensor:
        time.sleep(0.06)
        return x.sin()

    check_gradients((slow, lambda x, g: g * x.cos()), numbers(12), progress=lines.append)
    return "" if lines and all(line for line in lines) else f"{lines}"


def _restored() -> str:
    class Layer:
        def __init__(self) -> None:
            self.weight = nn.Parameter(numbers(3), requires_grad=False)
            self.weight.grad = torch.full((3,), 5.0, dtype=torch.float64)

        def parameters(self) -> list[nn.Parameter]:
            return [self.weight]

        def forward(self, x: Tensor) -> Tensor:
            self.x = x
            return x * self.weight

        def backward(self, grad_output: Tensor) -> Tensor:
            assert self.weight.grad is not None
            self.weight.grad += (grad_output * self.x).sum(0)
            return grad_output * self.weight

    layer = Layer()
    check_gradients(layer, numbers(2, 3), parameters={"weight": numbers(3, seed=5)})
    batch = nn.BatchNorm1d(3).double()
    before = {name: buffer.clone() for name, buffer in batch.named_buffers()}
    check_gradients(batch, numbers(4, 3))
    same = all(torch.equal(buffer, before[name]) for name, buffer in batch.named_buffers())
    assert layer.weight.grad is not None
    kept = torch.equal(layer.weight.data, numbers(3)) and bool((layer.weight.grad == 5).all())
    return "" if same and kept else f"{layer.weight}, {layer.weight.grad}, {same}"


def _derived() -> str:
    def evaluation(inputs: Any, parameters: Any) -> dict[str, Tensor]:
        x, w = inputs["x"].abs(), inputs["w"].abs()
        return {"output": x.shape[1] * 2.0**-52 * (x @ w)}

    x, w, g = numbers(4, 6), numbers(6, 3, seed=1), numbers(4, 3, seed=2)
    report = check_gradients(
        (lambda x, w: x @ w, lambda x, w, g: (g @ w.T, x.T @ g)),
        x,
        w,
        cotangents={"output": g},
        evaluation_error=evaluation,
        analytic_error={
            "x": 3 * 2.0**-52 * (g.abs() @ w.abs().T),
            "w": 4 * 2.0**-52 * (x.abs().T @ g.abs()),
        },
        method="full",
    )
    right = (report.ok, report.basis, report.undecided) == (True, "derived", 0)
    narrow = all(tensor.resolution <= 2.0**-37 for tensor in report.tensors)
    return "" if right and narrow else f"{report} {[t.resolution for t in report.tensors]}"


class Counted:
    """How often a function and its backward are called."""

    def __init__(self, f: Callable[..., Tensor], vjp: Callable[..., Any]) -> None:
        self.calls = self.backwards = 0
        self.f, self.vjp = f, vjp

    def forward(self, *inputs: Tensor) -> Tensor:
        self.calls += 1
        return self.f(*inputs)

    def backward(self, *arguments: Tensor) -> Any:
        self.backwards += 1
        return self.vjp(*arguments)


def _costs(
    f: Callable[..., Tensor],
    vjp: Callable[..., Any],
    calls: int,
    backwards: int,
    *inputs: Tensor,
    **options: Any,
) -> Callable[[], str]:
    """At most so many calls of f and of its backward."""

    def check() -> str:
        counted = Counted(f, vjp)
        report = check_gradients((counted.forward, counted.backward), *inputs, **options)
        few = counted.calls <= calls and counted.backwards <= backwards
        return "" if report.ok and few else f"{counted.calls}, {counted.backwards}: {report}"

    return check


def convolve(x: Tensor) -> Tensor:
    return F.conv2d(x, numbers(2, 2, 3, 3, seed=4), padding=1)


def convolve_back(x: Tensor, g: Tensor) -> Tensor:
    return nn.grad.conv2d_input(x.shape, numbers(2, 2, 3, 3, seed=4), g, padding=1)


def sine_back(x: Tensor, g: Tensor) -> Tensor:
    return g * x.cos()


PROMISES: tuple[Promise, ...] = (
    holds("sentence: right", _right),
    holds("sentence: wrong", _wrong),
    holds("sentence: undecided", _undecided),
    holds("sentence: one index", _shared_index),
    holds("picture", _picture),
    holds("progress", _progress),
    holds("all is put back", _restored),
    holds("derived bounds", _derived),
    holds("calls: convolution", _costs(convolve, convolve_back, 25, 8, numbers(2, 2, 8, 8))),
    holds(
        "calls: every entry of a convolution",
        _costs(convolve, convolve_back, 24, 6, numbers(2, 2, 8, 8), method="full"),
    ),
    holds("calls: many sines", _costs(torch.sin, sine_back, 21, 4, numbers(400))),
    holds(
        "calls: every one of many sines",
        _costs(torch.sin, sine_back, 25, 4, numbers(400), method="full"),
    ),
    holds(
        "calls: directions", _costs(torch.sin, sine_back, 21, 4, numbers(400), method="projection")
    ),
)
