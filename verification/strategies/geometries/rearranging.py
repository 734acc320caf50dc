"""Geometry of the layers that put numbers elsewhere: padding, windows as columns and back, pixels
as channels and back.
"""

from __future__ import annotations

import math

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometries.windows import Window, draw_image, draw_window, reach_of
from verification.strategies.geometry import (
    Geometry,
    Limits,
    Shape,
    choices,
    numbers,
    per_axis,
    per_axis_amounts,
)

FILLS = (0.0, 1.0, -2.0, 0.5)
"""Constants to pad with, all of them numbers of every dtype."""


@st.composite
def paddings(draw: DrawFn, limits: Limits, kind: str, dims: int) -> Geometry:
    """A padding layer over one to three axes: one amount, or one for each side of each axis, the
    last axis first. Reflection takes less than the axis from it, a circle no more than the axis;
    with a constant a negative amount takes pixels away.
    """
    most = {"ReflectionPad": 2, "CircularPad": 2, "ReplicationPad": 4}.get(kind, 3)
    cuts = kind in ("ConstantPad", "ZeroPad")
    one, side = numbers(0, most), numbers(-2 if cuts else 0, most)
    every = st.one_of(one, st.tuples(*[side] * (2 * dims)), st.tuples(*[side] * (2 * dims)))
    padding = draw(limits.choose("padding", every))
    sides = per_axis(padding, 2 * dims)
    both = [(sides[2 * axis], sides[2 * axis + 1]) for axis in reversed(range(dims))]
    arguments = {"padding": padding}
    if kind == "ConstantPad":
        arguments["value"] = draw(limits.choose("value", choices(FILLS)))
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 3))
    smallest = tuple(_smallest_axis(kind, *amounts) for amounts in both)
    image = draw_image(draw, limits, batch, channels, smallest, (1,) * dims)
    return Geometry(LayerCall.of(f"{kind}{dims}d", **arguments), (("input", image),))


def _smallest_axis(kind: str, before: int, after: int) -> int:
    """The smallest axis of which that much padding can be made, and of which something stays."""
    if kind == "ReflectionPad":
        return 1 + max(before, after)
    if kind == "CircularPad":
        return max(1, before, after)
    return 1 + max(0, -before) + max(0, -after)


@st.composite
def unfoldings(draw: DrawFn, limits: Limits) -> Geometry:
    """Unfold: every window of an image as a column."""
    window, padding, size = _draw_columns(draw, limits)
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 3))
    image = draw_image(draw, limits, batch, channels, size, window.strides)
    layer = LayerCall.of("Unfold", **window.arguments, padding=padding)
    return Geometry(layer, (("input", image),))


@st.composite
def foldings(draw: DrawFn, limits: Limits) -> Geometry:
    """Fold: columns summed into an image, the adjoint of Unfold."""
    window, padding, size = _draw_columns(draw, limits)
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 2))
    kernel = math.prod(per_axis(window.kernel))
    columns = max(1, limits.elements // (max(1, batch) * channels * kernel))
    area = Limits(elements=columns * math.prod(window.strides))
    output = draw_image(draw, area, 1, 1, size, window.strides)[2:]
    amounts = zip(output, per_axis(padding), window.extents, window.strides, strict=True)
    count = math.prod((n + 2 * p - e) // s + 1 for n, p, e, s in amounts)
    layer = LayerCall.of("Fold", output_size=output, **window.arguments, padding=padding)
    return Geometry(layer, (("input", (batch, channels * kernel, count)),))


def _draw_columns(draw: DrawFn, limits: Limits) -> tuple[Window, int | tuple[int, ...], Shape]:
    """A window, its padding, and the smallest image that it fits."""
    window = draw_window(draw, reach_of(limits, 2), limits=limits)
    padding = draw(limits.choose("padding", per_axis_amounts(0, 2)))
    both = zip(window.extents, per_axis(padding), strict=True)
    return window, padding, tuple(max(1, e - 2 * p) for e, p in both)


@st.composite
def shuffles(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """PixelShuffle and PixelUnshuffle: squares of pixels as channels, and back."""
    factor_name = "upscale_factor" if name == "PixelShuffle" else "downscale_factor"
    factor = draw(limits.choose(factor_name, choices((2, 3, 1))))
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 2))
    room = limits.elements // factor**2
    batch, channels, height, width = draw_image(
        draw, Limits(elements=room), batch, channels, (1, 1), (1, 1)
    )
    image = (batch, channels * factor**2, height, width)
    if name == "PixelUnshuffle":
        image = (batch, channels, height * factor, width * factor)
    return Geometry(LayerCall.of(name, **{factor_name: factor}), (("input", image),))
