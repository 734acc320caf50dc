"""Compared entries as pictures: expected, got and difference, each a small SVG with its numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

MOST_PIXELS = 256
"""Entries that a picture may have; more cannot be told apart, and were not kept."""

MOST_NUMBERS = 64
"""Entries up to which every pixel is large enough to hold its number."""

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
    across = shape[-1] if shape else 1
    down = shape[-2] if len(shape) > 1 else 1
    planes = len(numbers) // (across * down)
    written = len(numbers) <= MOST_NUMBERS
    w, h = (56, 22) if written else (14, 14)
    width, height = planes * (across * w + GAP) - GAP, down * h
    cells = []
    for flat, number in enumerate(numbers):
        plane, inside = divmod(flat, across * down)
        row, column = divmod(inside, across)
        x, y = plane * (across * w + GAP) + column * w, row * h
        colour, ink = _colours(number, largest)
        cells.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{colour}">'
            f"<title>{number:.9g}</title></rect>"
        )
        if written:
            place = f'x="{x + w // 2}" y="{y + 15}" fill="{ink}"'
            cells.append(f'<text {place} font-size="11" text-anchor="middle">{number:.3g}</text>')
    label = f"{title}: {', '.join(f'{number:.6g}' for number in numbers)}"
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}">{"".join(cells)}</svg>'
    )


def _colours(number: float, largest: float) -> tuple[str, str]:
    """Of a pixel, and of the number in it."""
    if not math.isfinite(number):
        return "#000000", "#ffffff"
    pale = round(255 * (1 - min(1.0, abs(number) / largest)))
    middle = (255 + pale) // 2
    pixel = f"rgb(255,{middle},{pale})" if number > 0 else f"rgb({pale},{middle},255)"
    return pixel, "#000000"
