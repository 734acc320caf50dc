"""The report's Tables I to IV: nested loops, the report's way, ours and torch.nn, side by side.

NearestUpsampling by 2 (I, II) and Conv2d 3 x 3 from C to C channels (III, IV) on 32 x 32, for the
report's three sizes; first the forward alone, then forward, mean squared error and backward. The
loops run once, everything else in turns.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks import report_way
from benchmarks.tables import show as show_table
from benchmarks.timing import take_turns
from scratch_layers import Conv2d, MSELoss, NearestUpsampling, loops

SIZES = ((10, 8), (10, 16), (100, 16))
Step = Callable[[], object]


def measure() -> list[dict[str, Any]]:
    """One entry for every table and size: milliseconds of the four columns."""
    torch.set_num_threads(1)
    entries = []
    for kind in ("NearestUpsampling", "Conv2d"):
        for whole in (False, True):
            for samples, channels in SIZES:
                columns = dict(_columns(kind, whole, samples, channels))
                loop = columns.pop("loops")
                start = time.thread_time()
                loop()
                times = {"loops": 1e3 * (time.thread_time() - start), **take_turns(columns, 0.3)}
                work = "forward, loss, backward" if whole else "forward"
                entries.append(
                    {
                        "layer": kind,
                        "work": work,
                        "samples": samples,
                        "channels": channels,
                        "milliseconds": times,
                    }
                )
    return entries


def _columns(kind: str, whole: bool, samples: int, channels: int) -> Iterator[tuple[str, Step]]:
    x = torch.randn(samples, channels, 32, 32)
    theirs: torch.nn.Module
    if kind == "Conv2d":
        theirs = torch.nn.Conv2d(channels, channels, 3, padding=1)
        weight, bias = (parameter.detach() for parameter in theirs.parameters())
        mine: Any = Conv2d(channels, channels, 3, padding=1)
        way: Any = report_way.Conv2d(weight, bias, padding=1)
        forward = lambda: loops.conv2d_forward(x, weight, bias, padding=(1, 1))  # noqa: E731
        backward = lambda dy: loops.conv2d_backward(x, weight, dy, padding=(1, 1))  # noqa: E731
    else:
        theirs = torch.nn.Upsample(scale_factor=2)
        mine, way = NearestUpsampling(2), report_way.NearestUpsampling(2)
        forward = lambda: loops.nearest_upsampling_forward(x, (2, 2))  # noqa: E731
        backward = lambda dy: loops.nearest_upsampling_backward(x, dy, (2, 2))  # noqa: E731
    target = torch.randn_like(theirs(x))
    yield "loops", _step(forward, backward, target, whole)
    yield "the report's way", _step(lambda: way.forward(x), way.backward, target, whole)
    yield "ours", _step(lambda: mine.forward(x), mine.backward, target, whole)
    yield "torch.nn", _through_autograd(theirs, x, target, whole)


def _step(
    forward: Callable[[], Tensor], backward: Callable[[Tensor], object], target: Tensor, whole: bool
) -> Step:
    loss = MSELoss()

    def step() -> None:
        y = forward()
        if whole:
            loss.forward(y, target)
            backward(loss.backward())

    return step


def _through_autograd(layer: torch.nn.Module, x: Tensor, target: Tensor, whole: bool) -> Step:
    leaf, loss = x.clone().requires_grad_(), torch.nn.MSELoss()

    def step() -> None:
        leaf.grad = None
        y = layer(leaf)
        if whole:
            loss(y, target).backward()

    return step


def show(result: dict[str, Any]) -> None:
    """The four tables, one under the other."""
    columns = ("loops", "the report's way", "ours", "torch.nn")
    rows = (
        (
            entry["layer"],
            entry["work"],
            f"{entry['samples']}, {entry['channels']}",
            *(f"{entry['milliseconds'][column]:.3g}" for column in columns),
        )
        for entry in result["tables"]
    )
    title = "The report's Tables I to IV, milliseconds, one thread"
    show_table(title, ("layer", "work", "N, C", *columns), rows)
