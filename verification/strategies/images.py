"""Geometry of the layers that look at images: convolutions and upsampling.

Each axis gets its own kernel, stride, padding, dilation and scale. Sizes start at the smallest that
the kernel fits, so kernel = image is common, and leave every remainder of the stride.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from verification.cases import LayerCall
from verification.references.clauses import Clause
from verification.strategies.geometry import (
    Amount,
    Geometry,
    Limits,
    NamedShapes,
    Shape,
    amounts,
    choices,
    numbers,
    pairs,
    per_axis,
)

Padding = Amount | str
"""An amount, 'same' or 'valid'."""

Scale = float | tuple[float, ...]
"""One scale factor, or one for each axis."""

BOOLEANS = st.booleans()

FREE = Limits()
"""Nothing held."""


@dataclass(frozen=True)
class Window:
    """The arguments that convolutions share: kernel_size, stride and dilation, one number or a
    pair.
    """

    kernel: Amount
    stride: Amount
    dilation: Amount

    @property
    def extents(self) -> tuple[int, ...]:
        """How many pixels the dilated kernel spans on each axis."""
        both = zip(per_axis(self.kernel), per_axis(self.dilation), strict=True)
        return tuple(d * (k - 1) + 1 for k, d in both)

    @property
    def arguments(self) -> dict[str, Amount]:
        """The arguments by name."""
        return {"kernel_size": self.kernel, "stride": self.stride, "dilation": self.dilation}


def draw_window(draw: DrawFn, reach: int, largest_stride: int = 4, limits: Limits = FREE) -> Window:
    """A kernel of at most 4, dilated by at most 3, that spans at most `reach` pixels an axis."""
    kernel = draw(limits.choose("kernel_size", pairs(1, min(4, reach))))
    stride = draw(limits.choose("stride", pairs(1, largest_stride)))
    steps = max(1, max(per_axis(kernel)) - 1)
    dilations = pairs(1, max(1, min(3, (reach - 1) // steps)))
    return Window(kernel, stride, draw(limits.choose("dilation", dilations)))


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


def _reach(limits: Limits) -> int:
    """The largest kernel extent whose square leaves room for two channels."""
    return max(2, math.isqrt(limits.elements // 2))


def _draw_size(draw: DrawFn, smallest: int, stride: int, room: int) -> int:
    """A size of one axis from the smallest that fits, up to 3 strides more and with every remainder
    that the stride can leave, as far as there is room.
    """
    return draw(numbers(smallest, max(smallest, min(room, smallest + 4 * stride - 1))))


def _draw_image(
    draw: DrawFn, limits: Limits, batch: int, channels: int, smallest: Shape, strides: Shape
) -> Shape:
    """(batch, channels, height, width) with at least the smallest size."""
    area = limits.elements // (max(1, batch) * channels)
    height = _draw_size(draw, smallest[0], strides[0], area // smallest[1])
    width = _draw_size(draw, smallest[1], strides[1], area // height)
    return batch, channels, height, width


def _draw_channels(draw: DrawFn, limits: Limits, most: int) -> Channels:
    """At most that many input channels, in 1 to 3 groups unless the number is held."""
    groups = limits.held("groups")
    return draw(grouped_channels(most, (1, 2, 3) if groups is None else (groups,)))


@functools.cache
def paddings(same: bool) -> SearchStrategy[Padding]:
    """Padding by number or by name, 'same' among the names if it may be."""
    named = st.sampled_from(["valid", "same"] if same else ["valid"])
    return st.one_of(st.sampled_from(amounts(0, 3)), named)


def same_is_claimed(limits: Limits, window: Window) -> bool:
    """Whether 'same' may be drawn: with a stride only where that clause is not waived."""
    return Clause.STRIDED_SAME not in limits.waived or max(per_axis(window.stride)) == 1


def smallest_size(window: Window, padding: Padding) -> Shape:
    """The smallest input that the padded kernel fits; 'same' pads by the extent less one."""
    if padding == "same":
        return 1, 1
    amounts = (0, 0) if isinstance(padding, str) else per_axis(padding)
    return tuple(max(1, e - 2 * p) for e, p in zip(window.extents, amounts, strict=True))


@st.composite
def convolutions(draw: DrawFn, limits: Limits) -> Geometry:
    """Conv2d: kernel, stride, padding ('same' and 'valid' too), dilation, groups, bias, channels,
    batch, size.
    """
    window = draw_window(draw, _reach(limits), limits=limits)
    padding = draw(limits.choose("padding", paddings(same_is_claimed(limits, window))))
    smallest = smallest_size(window, padding)
    batch = draw(choices(limits.batches))
    channels = _draw_channels(
        draw, limits, limits.elements // (max(1, batch) * math.prod(smallest))
    )
    bias = draw(limits.choose("bias", BOOLEANS))
    image = _draw_image(draw, limits, batch, channels.inputs, smallest, per_axis(window.stride))
    layer = LayerCall.of(
        "Conv2d", **channels.arguments, **window.arguments, padding=padding, bias=bias
    )
    weights = channels.weights(per_axis(window.kernel), bias)
    return Geometry(layer, (("input", image),), weights)


def output_paddings(window: Window) -> SearchStrategy[Amount]:
    """Output padding smaller than stride or dilation, on each axis."""
    both = zip(per_axis(window.stride), per_axis(window.dilation), strict=True)
    rows, columns = (max(s, d) for s, d in both)
    return choices((*range(min(rows, columns)), *itertools.product(range(rows), range(columns))))


def transposed_size(size: Shape, window: Window, padding: Amount, extra: Amount) -> Shape:
    """(n - 1) stride - 2 padding + extent + output padding, of each axis: the size of the output of
    a transposed convolution (torch.nn.ConvTranspose2d's documentation).
    """
    axes = zip(
        size,
        per_axis(window.stride),
        per_axis(padding),
        window.extents,
        per_axis(extra),
        strict=True,
    )
    return tuple((n - 1) * s - 2 * p + e + x for n, s, p, e, x in axes)


@st.composite
def transposed_convolutions(draw: DrawFn, limits: Limits) -> Geometry:
    """ConvTranspose2d: as convolutions, with padding that takes output away, and output padding."""
    window = draw_window(draw, _reach(limits), limits=limits)
    padding = draw(limits.choose("padding", pairs(0, 3)))
    extra = draw(limits.choose("output_padding", output_paddings(window)))
    single = transposed_size((1, 1), window, padding, extra)
    # Each further input pixel adds a stride of output; start where at least one pixel is left.
    smallest = tuple(
        1 + max(0, math.ceil((1 - n) / s))
        for n, s in zip(single, per_axis(window.stride), strict=True)
    )
    batch = draw(choices(limits.batches))
    area = math.prod(max(*axis) for axis in zip(smallest, window.extents, strict=True))
    channels = _draw_channels(draw, limits, limits.elements // (max(1, batch) * area))
    bias = draw(limits.choose("bias", BOOLEANS))
    image = _draw_image(draw, limits, batch, channels.inputs, smallest, (1, 1))
    layer = LayerCall.of(
        "ConvTranspose2d",
        **channels.arguments,
        **window.arguments,
        padding=padding,
        output_padding=extra,
        bias=bias,
    )
    weights = channels.transposed_weights(per_axis(window.kernel), bias)
    return Geometry(layer, (("input", image),), weights)


CLEAR_SCALES = (1, 2, 3, 4, 1.5, 2.5, 0.5, 0.75, 1.25)
"""Scale factors whose source index no rounding moves in small images."""

DELICATE_SCALES = (1.00001, 0.99999, 120 / 88, 88 / 120, 4 / 3, 2 / 3, 1.1, 2.01, 2.7, 0.3, 1.9999)
"""Scale factors of which i / s comes close to an integer for some i."""


SCALES = st.one_of(
    st.sampled_from(CLEAR_SCALES), st.sampled_from(DELICATE_SCALES), st.floats(0.25, 4, width=32)
)
"""A scale factor: clear, delicate, or any number from 0.25 to 4."""


def scale_per_axis(argument: Scale) -> tuple[float, ...]:
    """A scale factor as one number per axis."""
    return argument if isinstance(argument, tuple) else (argument, argument)


def enlarged_size(size: Shape, scale: Scale) -> Shape:
    """floor(scale size) of each axis: the size that nearest upsampling gives."""
    return tuple(math.floor(n * s) for n, s in zip(size, scale_per_axis(scale), strict=True))


def _draw_enlarged(draw: DrawFn, limits: Limits, area: int) -> tuple[Scale, Shape]:
    """A scale factor, one or a pair, with a size that it does not shrink to nothing.

    One axis in eight is long, since the index of a delicate scale goes wrong far from 0.
    """
    scale: Scale | None = limits.held("scale_factor")
    if scale is None:
        scale = (draw(SCALES), draw(SCALES)) if draw(BOOLEANS) else draw(SCALES)
    # Four times 16, on both axes, is 128.
    long = 16 if Clause.LARGE_NEAREST in limits.waived else 100
    sizes = []
    for factor in scale_per_axis(scale):
        longest = long if draw(numbers(0, 7)) == 7 else 7
        smallest = max(1, math.ceil(1 / factor))
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
    scale, size = _draw_enlarged(draw, limits, limits.elements // (max(1, batch) * channels))
    layer = LayerCall.of("NearestUpsampling", scale_factor=scale)
    return Geometry(layer, (("input", (batch, channels, *size)),))


@st.composite
def upsamplings(draw: DrawFn, limits: Limits) -> Geometry:
    """Upsampling: nearest, then a convolution whose kernel fits the enlarged image."""
    batch = draw(choices(limits.batches))
    # The enlarged image is what costs: up to 16 times as large.
    room = limits.elements // (4 * max(1, batch))
    channels = _draw_channels(draw, limits, room)
    scale, size = _draw_enlarged(draw, limits, max(1, room // channels.inputs))
    large = enlarged_size(size, scale)
    # A padding that is held cannot be raised to what a larger kernel needs.
    reach = 4 if limits.held("padding") is None else min(4, *large)
    window = draw_window(draw, reach, limits=limits)
    padding = draw(limits.choose("padding", paddings(same_is_claimed(limits, window))))
    given = 0 if isinstance(padding, str) else padding
    needed = enough_padding(large, window, given)
    if padding != "same" and needed != given:
        padding = needed
    bias = draw(limits.choose("bias", BOOLEANS))
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
