"""What a picture of a wrong gradient shows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradcheck import check_gradients
from verification.meta.gradients.explained import asked
from verification.meta.gradients.promise import Promise, holds, numbers, refuses

BLACK = (0.0, 0.0, 0.0, 1.0)


class Panel(NamedTuple):
    """A map: its title, its numbers by row (None where it is black), the number that has the
    deepest colour, and what its axes are.
    """

    title: str
    table: list[list[float | None]]
    limit: float
    across: str
    down: str


def _panels(figure: Any) -> Iterator[Panel]:
    for axes in figure.axes:
        if axes.images:
            (image,) = axes.images
            low, high = image.get_clim()
            assert low == -high
            assert axes.get_facecolor() == BLACK
            table = image.get_array().tolist()
            yield Panel(axes.get_title(), table, high, axes.get_xlabel(), axes.get_ylabel())


def _shows(expected: Tensor, got: Tensor, across: str, down: str) -> str:
    """Three maps in a row, each with a bar of its colours, under the report's sentence."""
    report = asked(expected, got)
    figure = report.picture()
    off, rows = got - expected, (-1, expected.shape[-1] if expected.dim() else 1)
    limit = expected.abs().max().item()
    maps = {
        "expected": (expected, limit),
        "got": (got, limit),
        "got - expected": (off, off[off.isfinite()].abs().max().item()),
    }
    tables = {
        name: [[n if abs(n) < torch.inf else None for n in row] for row in m.reshape(rows).tolist()]
        for name, (m, _) in maps.items()
    }
    expected_panels = [Panel(n, tables[n], top, across, down) for n, (_, top) in maps.items()]
    panels, (title,) = [*_panels(figure)], figure.texts
    above = title.get_text(), title.get_wrap(), tuple(figure.get_size_inches())
    if panels != expected_panels or len(figure.axes) != 2 * len(panels):
        return f"{panels}"
    return "" if above == (str(report).partition("; noise")[0], True, (12, 4)) else f"{above}"


TABLE = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3)
HOLES = TABLE + torch.tensor([[0.25, torch.nan, 0.0], [0.0, 0.0, torch.inf]])
SHOWN: dict[str, tuple[Tensor, Tensor, str, str]] = {
    "a table with holes": (TABLE, HOLES, "axis 1", "axis 0"),
    "a stack of tables": (
        TABLE.reshape(2, 1, 3) / 8,
        2 * TABLE.reshape(2, 1, 3),
        "axis 2",
        "all axes before it",
    ),
    "a number": (TABLE[1, 1], -TABLE[1, 1], "axis 0", "axis 0"),
}

PROMISES: tuple[Promise, ...] = (
    *(holds(f"picture: {name}", partial(_shows, *case)) for name, case in SHOWN.items()),
    refuses(
        "a picture of nothing",
        lambda: check_gradients(torch.sin, numbers(3)).picture(),
        ValueError,
        r"whole gradients are known of \[\]",
    ),
)
