"""Compared entries as pictures: expected, got and difference, each a small SVG with its numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

MOST_PIXELS = 256
"""Entries that a picture may have; more cannot be told apart, and were not kept."""

PIXEL = 14
GAP = 6


class Picture(NamedTuple):
    """A picture and what it shows."""

    title: str
    svg: str


def pictures(compared: Mapping[str, Any]) -> Iterator[Picture]:
    """Expected, got and difference of a Failure's `compared`; none where not all entries are known.

    Every channel of every sample is a rectangle of pixels. Blue is negative, orange positive, the
    strongest colour the largest number of the three; what is not finite is black.
    """
    shape = tuple(compared["shape"])
    count = math.prod(shape)
    if not 0 < count <= MOST_PIXELS or len(compared["places"]) != count:
        return
    got, expected = (_in_order(compared, name) for name in ("got", "expected"))
    difference = [g - e for g, e in zip(got, expected, strict=True)]
    finite = [abs(number) for number in (*got, *expected) if math.isfinite(number)]
    largest = max(finite, default=0.0) or 1.0
    for title, numbers in {"expected": expected, "got": got, "difference": difference}.items():
        yield Picture(title, _svg(title, numbers, shape, largest))


def _in_order(compared: Mapping[str, Any], name: str) -> list[float]:
    """The numbers in row-major order."""
    pairs = zip(compared["places"], compared[name], strict=True)
    return [float(number) for _, number in sorted(pairs, key=lambda pair: pair[0])]


def _svg(title: str, numbers: Sequence[float], shape: tuple[int, ...], largest: float) -> str:
    width = shape[-1] if shape else 1
    height = shape[-2] if len(shape) > 1 else 1
    planes = len(numbers) // (width * height)
    across = planes * (width * PIXEL + GAP) - GAP
    label = f"{title}: {', '.join(f'{number:.6g}' for number in numbers)}"
    cells = []
    for flat, number in enumerate(numbers):
        plane, inside = divmod(flat, width * height)
        row, column = divmod(inside, width)
        x, y = plane * (width * PIXEL + GAP) + column * PIXEL, row * PIXEL
        colour = _colour(number, largest)
        cells.append(
            f'<rect x="{x}" y="{y}" width="{PIXEL}" height="{PIXEL}" fill="{colour}">'
            f"<title>{number:.9g}</title></rect>"
        )
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{across}" height="{height * PIXEL}"'
        f' viewBox="0 0 {across} {height * PIXEL}">{"".join(cells)}</svg>'
    )


def _colour(number: float, largest: float) -> str:
    if not math.isfinite(number):
        return "#000000"
    pale = round(255 * (1 - min(1.0, abs(number) / largest)))
    middle = (255 + pale) // 2
    return f"rgb(255,{middle},{pale})" if number > 0 else f"rgb({pale},{middle},255)"
