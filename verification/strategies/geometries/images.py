"""Geometry of the layers that look at images: convolutions over one to three axes, and upsampling.

Each axis gets its own padding and scale beside its own window.
"""

from __future__ import annotations

import functools
import itertools
import math
import struct
from dataclasses import dataclass, replace

from verification.cases import LayerCall
from verification.references.clauses import Clause
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometries.windows import Window, draw_image, draw_window, reach_of
from verification.strategies.geometry import (
    Amount,
    Geometry,
    Limits,
    NamedShapes,
    Shape,
    amounts,
    choices,
    numbers,
    per_axis,
    per_axis_amounts,
)

Padding = Amount | str
"""An amount, 'same' or 'valid'."""

Scale = float | tuple[float, ...]
"""One scale factor, or one for each axis."""


@dataclass(frozen=True)
class Channels:
    """Channels that `groups` divides."""

    inputs: int
    outputs: int
    groups: int

    @property
    def arguments(self) -> dict[str, int]:
        """The arguments by name."""
        return {
            "in_channels": self.inputs,
            "out_channels": self.outputs,
            "groups": self.groups,
        }

    def weights(self, kernel: Shape, bias: bool) -> NamedShapes:
        """The shapes of weight and bias of a cross-correlation."""
        weight = (self.outputs, self.inputs // self.groups, *kernel)
        return (("weight", weight), *((("bias", (self.outputs,)),) if bias else ()))

    def transposed_weights(self, kernel: Shape, bias: bool) -> NamedShapes:
        """The shapes of weight and bias of a transposed convolution."""
        weight = (self.inputs, self.outputs // self.groups, *kernel)
        return (("weight", weight), *((("bias", (self.outputs,)),) if bias else ()))


@functools.cache
def grouped_channels(most: int, groups: tuple[int, ...]) -> SearchStrategy[Channels]:
    """Few channels, one among them, in these groups, and depthwise with a multiplier; at most
    `most` enter, though one for each group always may.
    """
    few = range(1, 4)
    every = (Channels(g * i, g * o, g) for g in groups for i in few for o in few)
    return st.sampled_from([c for c in every if c.inputs <= max(groups[0], most)])


MANY_CHANNELS = (Channels(520, 1, 1), Channels(514, 2, 1), Channels(2, 514, 2))
"""More than 512 on one side: kernels tile the channels, and the last tile may be missing."""


def _draw_channels(draw: DrawFn, limits: Limits, most: int) -> Channels:
    """At most that many input channels, in 1 to 3 groups unless the number is held; in one case of
    twelve, if there is room, very many.
    """
    groups = limits.held("groups")
    if groups is None and limits.elements >= Limits().elements and draw(numbers(0, 11)) == 11:
        return draw(choices(MANY_CHANNELS))
    return draw(grouped_channels(most, (1, 2, 3) if groups is None else (groups,)))


@functools.cache
def paddings(same: bool, dims: int = 2) -> SearchStrategy[Padding]:
    """Padding by number or by name, 'same' among the names if it may be."""
    named = st.sampled_from(["valid", "same"] if same else ["valid"])
    return st.one_of(per_axis_amounts(0, 3, dims), named)


def same_is_claimed(limits: Limits, window: Window) -> bool:
    """Whether 'same' may be drawn: with a stride only where that clause is not waived."""
    return Clause.STRIDED_SAME not in limits.waived or max(window.strides) == 1


def smallest_size(window: Window, padding: Padding) -> Shape:
    """The smallest input that the padded kernel fits; 'same' pads by the extent less one."""
    if padding == "same":
        return (1,) * window.dims
    amounts = per_axis(0 if isinstance(padding, str) else padding, window.dims)
    return tuple(max(1, e - 2 * p) for e, p in zip(window.extents, amounts, strict=True))


@st.composite
def convolutions(draw: DrawFn, limits: Limits, dims: int = 2) -> Geometry:
    """Conv1d, Conv2d or Conv3d: kernel, stride, padding ('same' and 'valid' too), dilation, groups,
    bias, channels, batch, size.
    """
    window = draw_window(draw, reach_of(limits, dims), limits=limits, dims=dims)
    padding = draw(limits.choose("padding", paddings(same_is_claimed(limits, window), dims)))
    smallest = smallest_size(window, padding)
    batch = draw(choices(limits.batches))
    channels = _draw_channels(
        draw, limits, limits.elements // (max(1, batch) * math.prod(smallest))
    )
    bias = draw(limits.choose("bias", st.booleans()))
    image = draw_image(draw, limits, batch, channels.inputs, smallest, window.strides)
    layer = LayerCall.of(
        f"Conv{dims}d", **channels.arguments, **window.arguments, padding=padding, bias=bias
    )
    weights = channels.weights(per_axis(window.kernel, dims), bias)
    return Geometry(layer, (("input", image),), weights)


def output_paddings(window: Window) -> SearchStrategy[Amount]:
    """Output padding smaller than stride or dilation, on each axis."""
    both = zip(window.strides, per_axis(window.dilation, window.dims), strict=True)
    limits = [max(s, d) for s, d in both]
    per_axis_too = itertools.product(*map(range, limits)) if window.dims > 1 else ()
    return choices((*range(min(limits)), *per_axis_too))


def transposed_size(size: Shape, window: Window, padding: Amount, extra: Amount) -> Shape:
    """(n - 1) stride - 2 padding + extent + output padding, of each axis: the size of the output of
    a transposed convolution (torch.nn.ConvTranspose2d's documentation).
    """
    axes = zip(
        size,
        window.strides,
        per_axis(padding, window.dims),
        window.extents,
        per_axis(extra, window.dims),
        strict=True,
    )
    return tuple((n - 1) * s - 2 * p + e + x for n, s, p, e, x in axes)


@st.composite
def transposed_convolutions(draw: DrawFn, limits: Limits, dims: int = 2) -> Geometry:
    """ConvTranspose1d, 2d or 3d: as convolutions, with padding that takes output away, and output
    padding.
    """
    window = draw_window(draw, reach_of(limits, dims), limits=limits, dims=dims)
    padding = draw(limits.choose("padding", per_axis_amounts(0, 3, dims)))
    if Clause.WIDE_PADDING in limits.waived:
        each = zip(per_axis(padding, dims), window.strides, strict=True)
        padding = tuple(min(amount, stride) for amount, stride in each)
    extra = draw(limits.choose("output_padding", output_paddings(window)))
    single = transposed_size((1,) * dims, window, padding, extra)
    # Each further input pixel adds a stride of output; start where at least one pixel is left.
    smallest = tuple(
        1 + max(0, math.ceil((1 - n) / s)) for n, s in zip(single, window.strides, strict=True)
    )
    batch = draw(choices(limits.batches))
    area = math.prod(max(*axis) for axis in zip(smallest, window.extents, strict=True))
    channels = _draw_channels(draw, limits, limits.elements // (max(1, batch) * area))
    bias = draw(limits.choose("bias", st.booleans()))
    image = draw_image(draw, limits, batch, channels.inputs, smallest, (1,) * dims)
    layer = LayerCall.of(
        f"ConvTranspose{dims}d",
        **channels.arguments,
        **window.arguments,
        padding=padding,
        output_padding=extra,
        bias=bias,
    )
    weights = channels.transposed_weights(per_axis(window.kernel, dims), bias)
    return Geometry(layer, (("input", image),), weights)


CLEAR_SCALES = (1, 2, 3, 4, 1.5, 2.5, 0.5, 0.75, 1.25)
"""Scale factors whose source index no rounding moves in small images."""

DELICATE_SCALES = (
    *(1.00001, 0.99999, 120 / 88, 88 / 120, 4 / 3, 2 / 3, 1.1, 2.01, 2.7, 0.3, 1.9999),
    *(13 / 11, 15 / 13, 17 / 7, 19 / 7, 53 / 19),
)
"""Scale factors of which i / s comes close to an integer for some i."""


@functools.cache
def scales() -> SearchStrategy[float]:
    """A scale factor: clear, delicate, or any number from 0.25 to 4."""
    return st.one_of(
        st.sampled_from(CLEAR_SCALES),
        st.sampled_from(DELICATE_SCALES),
        st.floats(0.25, 4, width=32),
    )


def scale_per_axis(argument: Scale, dims: int = 2) -> tuple[float, ...]:
    """A scale factor as one number per axis."""
    return argument if isinstance(argument, tuple) else (argument,) * dims


def enlarged_size(size: Shape, scale: Scale) -> Shape:
    """floor(scale size) of each axis: the size that nearest upsampling gives."""
    return tuple(math.floor(n * s) for n, s in zip(size, scale_per_axis(scale), strict=True))


@functools.cache
def close_calls(factor: float, longest: int) -> tuple[int, ...]:
    """The sizes of which a factor makes another size in float32 than in float64, so near is the
    product to a whole number: 88 (120 / 88) is 119.99999999999999.
    """
    single = struct.Struct("f")

    def rounded(number: float) -> float:
        return float(single.unpack(single.pack(number))[0])

    return tuple(
        n
        for n in range(1, longest + 1)
        if math.floor(n * factor) != math.floor(rounded(n * rounded(factor)))
    )


def draw_enlarged(draw: DrawFn, limits: Limits, area: int, dims: int = 2) -> tuple[Scale, Shape]:
    """A scale factor, one or one per axis, with a size that it does not shrink to nothing.

    One axis in eight is long, since the index of a delicate scale goes wrong far from 0.
    """
    scale: Scale | None = limits.held("scale_factor")
    if scale is None:
        several = dims > 1 and draw(st.booleans())
        scale = tuple(draw(scales()) for _ in range(dims)) if several else draw(scales())
    # Four times 16, on both axes, is 128.
    long = 16 if Clause.LARGE_NEAREST in limits.waived else 100
    sizes = []
    for factor in scale_per_axis(scale, dims):
        longest = long if draw(numbers(0, 7)) == 7 else 7
        smallest = max(1, math.ceil(1 / factor))
        close = close_calls(factor, min(long, area)) if factor in DELICATE_SCALES else ()
        if len(close) > 0 and draw(st.booleans()):
            size = draw(choices(close))
        else:
            size = draw(numbers(smallest, max(smallest, min(longest, area))))
        # ceil(1 / factor) times factor may fall short of 1 by a rounding.
        sizes.append(size if math.floor(size * factor) else size + 1)
        area //= sizes[-1]
    return scale, tuple(sizes)


@st.composite
def nearest_upsamplings(draw: DrawFn, limits: Limits) -> Geometry:
    """NearestUpsampling: any scale, one or per axis, on short and long axes."""
    batch = draw(choices(limits.batches))
    channels = draw(numbers(1, 3))
    scale, size = draw_enlarged(draw, limits, limits.elements // (max(1, batch) * channels))
    layer = LayerCall.of("NearestUpsampling", scale_factor=scale)
    return Geometry(layer, (("input", (batch, channels, *size)),))


@st.composite
def upsamplings(draw: DrawFn, limits: Limits) -> Geometry:
    """Upsampling: nearest, then a convolution whose kernel fits the enlarged image."""
    batch = draw(choices(limits.batches))
    # The enlarged image is what costs: up to 16 times as large.
    room = limits.elements // (4 * max(1, batch))
    channels = _draw_channels(draw, limits, room)
    scale, size = draw_enlarged(draw, limits, max(1, room // channels.inputs))
    large = enlarged_size(size, scale)
    # A padding that is held cannot be raised to what a larger kernel needs.
    reach = 4 if limits.held("padding") is None else min(4, *large)
    window = draw_window(draw, reach, limits=limits)
    padding = draw(limits.choose("padding", paddings(same_is_claimed(limits, window))))
    given = 0 if isinstance(padding, str) else padding
    needed = enough_padding(large, window, given)
    if padding != "same" and needed != given:
        padding = needed
    bias = draw(limits.choose("bias", st.booleans()))
    layer = LayerCall.of(
        "Upsampling",
        **channels.arguments,
        **window.arguments,
        scale_factor=scale,
        padding=padding,
        bias=bias,
    )
    weights = channels.weights(per_axis(window.kernel), bias)
    return Geometry(layer, (("input", (batch, channels.inputs, *size)),), weights)


@st.composite
def fused_upsamplings(draw: DrawFn, limits: Limits) -> Geometry:
    """FusedUpsampling: Upsampling by whole numbers, without a stride."""
    scale = draw(choices(amounts(1, 4)))
    held = replace(limits, fixed=(*limits.fixed, ("scale_factor", scale), ("stride", 1)))
    geometry = draw(upsamplings(held))
    arguments = {k: v for k, v in geometry.layer.kwargs.items() if k != "stride"}
    return replace(geometry, layer=LayerCall.of("FusedUpsampling", **arguments))


def enough_padding(size: Shape, window: Window, padding: Amount) -> Amount:
    """The padding, or where the kernel would not fit as much more as it needs on each axis."""
    axes = zip(size, window.extents, per_axis(padding), strict=True)
    needed = tuple(max(p, math.ceil((e - n) / 2)) for n, e, p in axes)
    return padding if needed == per_axis(padding) else needed
