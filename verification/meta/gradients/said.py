"""What a report says, what a check costs, and that it leaves nothing behind."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradcheck import GradientError, LayerSubject, check_gradients, check_second_order
from gradcheck.rounding import NOISE_SAFETY
from verification.meta.gradients.maps import Loss, Pairs, product
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
    if "Entries" in repr(report):
        return "the whole gradient stands in the text of a report"
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


def _resolution() -> str:
    """Errors above 2^-20 of what is compared are seen, by entries and by directions."""
    for method in ("full", "projection"):
        for f, x in ((torch.sin, numbers(400)), (torch.square, numbers(3, 4))):
            report = check_gradients(f, x, method=method)
            (tensor,) = report.tensors
            if not tensor.resolution <= 2.0**-17 or tensor.method != method:
                return f"{tensor}"
    return ""


def _missed() -> str:
    """How often a fault hides: from two directions of 26 bits; from cotangents of 8, or 12."""
    one, many = lambda x: x.sin().sum(), lambda x: x @ x.T
    asked = {
        "directions": (one, "projection", 2.0**-52),
        "entries of a sum": (one, "full", 0.0),
        "entries": (torch.sin, "full", 2.0**-16),
        "both": (torch.sin, "projection", 2.0**-16 + 2.0**-52),
        "integers": (many, "projection", 2.0**-23),
    }
    found = {
        name: check_gradients(f, numbers(4, 3), method=method).tensors[0].may_miss
        for name, (f, method, _) in asked.items()
    }
    return "" if found == {name: chance for name, (*_, chance) in asked.items()} else f"{found}"


def _picture() -> str:
    """Expected, got and difference of every entry, the last axis lying across."""
    for shape, table in (((2, 3, 4), (6, 4)), ((5,), (1, 5)), ((), (1, 1))):
        report = check_gradients((torch.sin, lambda x, g: -g * x.cos()), numbers(*shape))
        figure = report.picture()
        panels = [axes for axes in figure.axes if axes.images]
        titles = [axes.get_title() for axes in panels]
        shown = [axes.images[0].get_array() for axes in panels]
        if titles != ["expected", "got", "got - expected"]:
            return f"{titles}"
        if any(image is None or image.shape != table for image in shown):
            return f"{[image.shape for image in shown if image is not None]}"
        if panels[0].images[0].get_clim()[1] != abs(shown[0]).max():
            return f"colours up to {panels[0].images[0].get_clim()}"
        expected, got, difference = (torch.tensor(image) for image in shown)
        if not torch.equal(difference, got - expected) or not torch.allclose(got, -expected):
            return f"{shown}"
    try:
        check_gradients(torch.sin, numbers(3)).picture()
    except ValueError as error:
        return "" if "whole gradients are known of []" in str(error) else f"{error}"
    return "a picture of nothing"


class Slow:
    """A sine that takes long at first, but not for ever, however often it is called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        time.sleep(0.12 if self.calls < 40 else 0)
        return x.sin()


def _progress() -> str:
    """A line a second at most, given to a function or to stderr."""
    lines, subject = list[str](), Slow()

    def noted(line: str) -> None:
        lines.append(line.removesuffix(" s") + f", of {subject.calls}")

    started = time.monotonic()
    check_gradients((subject, lambda x, g: g * x.cos()), numbers(12), progress=noted)
    seconds = time.monotonic() - started
    heard = io.StringIO()
    with redirect_stderr(heard):
        check_gradients((Slow(), lambda x, g: g * x.cos()), numbers(12), progress=True)
    pattern = r"Slow: .*; (\d+) calls in (\d+), of (\d+)"
    told = [re.fullmatch(pattern, line) for line in lines]
    few = 1 <= len(lines) <= seconds and all(
        m and 0 < int(m[1]) <= int(m[3]) and int(m[2]) <= seconds for m in told
    )
    return "" if few and heard.getvalue().startswith("Slow: ") else f"{lines}, {heard.getvalue()}"


def _second() -> str:
    """Second derivatives of one number, for which there is one cotangent."""
    report = check_second_order(lambda x: (x**3).sum(), numbers(3))
    return "" if report.ok and not report.undecided else f"{report}"


def _offers() -> str:
    found = LayerSubject(Pairs()).offers, LayerSubject(Loss()).offers
    return "" if found == ({"accumulate"}, frozenset()) else f"{found}"


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


Function = Callable[..., Tensor]


def _costs(
    calls: int,
    backwards: int,
    f: Function,
    vjp: Callable[..., Any] | None,
    *inputs: Tensor,
    **options: Any,
) -> Callable[[], str]:
    """At most so many calls of f and of its backward; autograd's own are not counted."""

    def check() -> str:
        counted = {"calls": 0, "backwards": 0}

        def called(*arguments: Tensor) -> Tensor:
            counted["calls"] += 1
            return f(*arguments)

        def back(*arguments: Tensor) -> Any:
            counted["backwards"] += 1
            return vjp and vjp(*arguments)

        subject = (called, back) if vjp else called
        report = check_gradients(subject, *inputs, **options)
        few = counted["calls"] <= calls and counted["backwards"] <= backwards
        return "" if report.ok and few else f"{counted}: {report}"

    return check


def convolve(x: Tensor) -> Tensor:
    return F.conv2d(x, numbers(2, 2, 3, 3, seed=4), padding=1)


def convolve_back(x: Tensor, g: Tensor) -> Tensor:
    return nn.grad.conv2d_input(x.shape, numbers(2, 2, 3, 3, seed=4), g, padding=1)


def sine_back(x: Tensor, g: Tensor) -> Tensor:
    return g * x.cos()


def product_back(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    return g @ w.T, x.T @ g


FACTORS = numbers(6, 8), numbers(8, 5, seed=1)
MATRIX = numbers(5, 20, seed=3)


def mixed(x: Tensor) -> Tensor:
    return MATRIX @ x.sin()


def waves(x: Tensor, w: Tensor) -> Tensor:
    return (x * w).sin()


def waves_back(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    return g * w * (x * w).cos(), g * x * (x * w).cos()


IMAGE, MANY, TWO = numbers(2, 2, 8, 8), numbers(400), (numbers(12, 2), numbers(12, 2, seed=1))
FULL, DIRECTIONS = {"method": "full"}, {"method": "projection"}
CALLS: tuple[tuple[str, tuple[int, int], tuple[Any, ...], dict[str, Any]], ...] = (
    ("a convolution", (25, 8), (convolve, convolve_back, IMAGE), {}),
    ("every entry of a convolution", (24, 6), (convolve, convolve_back, IMAGE), FULL),
    ("every entry of a product", (32, 4), (product, product_back, *FACTORS), FULL),
    ("many sines", (24, 4), (torch.sin, sine_back, MANY), {}),
    ("every one of many sines", (47, 4), (torch.sin, sine_back, MANY), FULL),
    ("directions", (24, 4), (torch.sin, sine_back, MANY), DIRECTIONS),
    ("under vmap", (31, 0), (mixed, None, numbers(20)), FULL),
    ("samples of two inputs", (62, 4), (waves, waves_back, *TWO), FULL),
)
"""At most so many calls of a function and of its backward."""

PROMISES: tuple[Promise, ...] = (
    holds("sentence: right", _right),
    holds("sentence: wrong", _wrong),
    holds("sentence: undecided", _undecided),
    holds("resolution", _resolution),
    holds("probability", _missed),
    holds("picture", _picture),
    holds("progress", _progress),
    holds("all is put back", _restored),
    holds("what a layer offers", _offers),
    holds("second derivatives of a number", _second),
    holds("derived bounds", _derived),
    *(
        holds(f"calls: {name}", _costs(*calls, *subject, **options))
        for name, calls, subject, options in CALLS
    ),
)
