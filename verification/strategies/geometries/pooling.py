"""Geometry of the pooling layers: windows with padding of at most half a kernel, and windows that
divide an axis into a given number of parts.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import Any

from verification.cases import LayerCall
from verification.references.clauses import Clause
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometries.windows import Window, draw_image, draw_window, reach_of
from verification.strategies.geometry import (
    Amount,
    Geometry,
    Limits,
    Shape,
    choices,
    numbers,
    per_axis,
)


@functools.cache
def _half_paddings(kernel: Shape) -> SearchStrategy[Amount]:
    """Padding of at most half the kernel, one number or one per axis: no window may lie in padding
    alone.
    """
    halves = [k // 2 for k in kernel]
    unequal = (p for p in itertools.product(*(range(h + 1) for h in halves)) if len(set(p)) > 1)
    return st.sampled_from((*range(min(halves) + 1), *unequal))


def _smallest(window: Window, padding: Amount) -> Shape:
    """The smallest image that the kernel fits. An image narrower than the dilation could slip
    between two taps.
    """
    axes = zip(
        window.extents,
        per_axis(padding, window.dims),
        per_axis(window.dilation, window.dims),
        strict=True,
    )
    return tuple(max(1, e - 2 * p, d if p else 1) for e, p, d in axes)


_STRIDES = (1,) * 7 + (None,)
"""One stride in eight is None, which stands for the kernel's size."""


def _draw_pooled(draw: DrawFn, limits: Limits, dims: int) -> tuple[dict[str, Any], Shape]:
    """The arguments that both kinds of pooling share, and the shape of the image."""
    window = draw_window(draw, reach_of(limits, dims), limits=limits, dims=dims)
    if draw(limits.choose("stride", choices(_STRIDES))) is None:
        window = replace(window, stride=None)
    padding = draw(limits.choose("padding", _half_paddings(per_axis(window.kernel, dims))))
    ceil_mode = draw(limits.choose("ceil_mode", choices((False, True))))
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 3))
    smallest = _smallest(window, padding)
    if Clause.SMALL_IMAGE in limits.waived:
        smallest = tuple(map(max, smallest, window.extents))
    image = draw_image(draw, limits, batch, channels, smallest, window.strides)
    arguments = window.arguments | {"padding": padding, "ceil_mode": ceil_mode}
    return arguments, image


@st.composite
def max_poolings(draw: DrawFn, limits: Limits, dims: int) -> Geometry:
    """MaxPool1d, 2d or 3d: kernel, stride, padding, dilation, ceil_mode."""
    arguments, image = _draw_pooled(draw, limits, dims)
    return Geometry(LayerCall.of(f"MaxPool{dims}d", **arguments), (("input", image),))


@st.composite
def average_poolings(draw: DrawFn, limits: Limits, dims: int) -> Geometry:
    """AvgPool1d, 2d or 3d: kernel, stride, padding, ceil_mode, what counts, and another divisor,
    which torch's layer over one axis does not take.
    """
    undilated = replace(limits, fixed=(*limits.fixed, ("dilation", 1)))
    arguments, image = _draw_pooled(draw, undilated, dims)
    del arguments["dilation"]
    counted = draw(limits.choose("count_include_pad", choices((True, False))))
    arguments["count_include_pad"] = counted
    if dims > 1:
        divisors = choices((None, None, 1, 3, 4, -2))
        arguments["divisor_override"] = draw(limits.choose("divisor_override", divisors))
    return Geometry(LayerCall.of(f"AvgPool{dims}d", **arguments), (("input", image),))


@st.composite
def adaptive_poolings(draw: DrawFn, limits: Limits, kind: str, dims: int) -> Geometry:
    """AdaptiveAvgPool or AdaptiveMaxPool over so many axes: the sizes of the output, fewer, as many
    and more than the image's; None keeps an axis.
    """
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 3))
    image = draw_image(draw, limits, batch, channels, (1,) * dims, (2,) * dims)
    each = choices((1, 2, 3, 4, 5, 7, None) if dims > 1 else (1, 2, 3, 4, 5, 7))
    wanted: SearchStrategy[object] = st.one_of(numbers(1, 5), st.tuples(*[each] * dims))
    if dims == 1:
        wanted = numbers(1, 7)
    size = draw(limits.choose("output_size", wanted))
    return Geometry(LayerCall.of(f"{kind}{dims}d", output_size=size), (("input", image),))
