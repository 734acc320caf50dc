"""How the time of Conv2d 3 x 3 grows with samples, channels and pixels, and where it leaps.

A cliff is a step to twice the work that takes more than 2.5 times as long. The exponent is the
slope of a straight line through the logarithms.
"""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks.contests import convolution
from benchmarks.tables import show as show_table
from benchmarks.timing import take_turns

# Powers of two, so that every step doubles: samples and rows the work, channels four times of it.
SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CHANNELS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PIXELS = (8, 16, 32, 64, 128, 256)
CLIFF = 2.5
SIDES = ("ours", "torch.nn")


def measure() -> dict[str, list[dict[str, float]]]:
    """For every axis its points: size, milliseconds of both sides, work relative to the first."""
    torch.set_num_threads(1)
    axes: dict[str, list[dict[str, float]]] = {}
    plans = {
        "samples": [(n, n, {"samples": n, "channels": 8}) for n in SAMPLES],
        "channels": [(c, c * c, {"samples": 4, "channels": c}) for c in CHANNELS],
        "pixels": [(p, p * p, {"samples": 4, "channels": 16, "size": p}) for p in PIXELS],
    }
    for axis, points in plans.items():
        axes[axis] = []
        for size, work, options in points:
            sides = dict(convolution(padding=1, **options))
            times = take_turns({side: sides[side] for side in SIDES}, 0.2, (1, 30))
            axes[axis].append({"size": size, "work": work, **times})
    return axes


def exponent(points: list[dict[str, float]], side: str = "ours") -> float:
    """The slope of log time over log size, by least squares."""
    x = [math.log(point["size"]) for point in points]
    y = [math.log(point[side]) for point in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    rise = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return rise / sum((a - mean_x) ** 2 for a in x)


def steepest(points: list[dict[str, float]], side: str = "ours") -> float:
    """The most that twice the work costs between two neighbouring points."""
    return max(
        (b[side] / a[side]) ** (1 / math.log2(b["work"] / a["work"])) for a, b in pairwise(points)
    )


def show(result: dict[str, Any]) -> None:
    """One line an axis."""
    columns = ("axis", "from", "to", "exponent", "torch.nn's", "twice the work costs at most")
    rows = (
        (
            axis,
            points[0]["size"],
            points[-1]["size"],
            *(f"{exponent(points, side):.2f}" for side in SIDES),
            *(_worst(points, side) for side in SIDES),
        )
        for axis, points in result["growth"].items()
    )
    title = "Growth of Conv2d 3 x 3, forward and backward, one thread"
    show_table(title, (*columns, "torch.nn's"), rows)


def _worst(points: list[dict[str, float]], side: str) -> str:
    steep = steepest(points, side)
    return f"{steep:.2f}{', a cliff' if steep > CLIFF else ''}"


def plot(growth: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Both sides' times over the size, one panel an axis, both scales logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(growth), figsize=(12, 3.5), layout="constrained")
    for panel, (axis, points) in zip(panels, growth.items(), strict=True):
        for side in SIDES:
            sizes = [point["size"] for point in points]
            panel.loglog(sizes, [point[side] for point in points], "o-", label=side)
        panel.set_xlabel(axis)
        panel.set_ylabel("milliseconds")
        panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
