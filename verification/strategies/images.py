"""Geometry of the layers that look at images: convolutions and upsampling.

Each axis gets its own kernel, stride, padding, dilation and scale. Sizes start at the smallest that
the kernel fits, so kernel = image is common, and leave every remainder of the stride.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from verification.cases import LayerCall
from verification.references.clauses import Clause
from verification.strategies.geometry import (
    Geometry,
    Limits,
    NamedShapes,
    Shape,
    pairs,
    per_axis,
)

Amount = int | tuple[int, ...]
"""One number, or one for each axis."""

Padding = Amount | str
"""An amount, 'same' or 'valid'."""


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


@st.composite
def windows(draw: DrawFn, reach: int, largest_stride: int = 4, limits: Limits = FREE) -> Window:
    """A kernel of at most 4, dilated by at most 3, that spans at most `reach` pixels an axis."""
    kernel = draw(limits.choose("kernel_size", pairs(st.integers(1, min(4, reach)))))
    stride = draw(limits.choose("stride", pairs(st.integers(1, largest_stride))))
    steps = max(1, max(per_axis(kernel)) - 1)
    dilations = pairs(st.integers(1, max(1, min(3, (reach - 1) // steps))))
    dilation = draw(limits.choose("dilation", dilations))
    return Window(kernel, stride, dilation)


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


@st.composite
def grouped_channels(draw: DrawFn, most: int = 9, limits: Limits = FREE) -> Channels:
    """Few channels, one among them, in 1 to 3 groups, and depthwise with a multiplier; at most
    `most` enter.
    """
    groups = draw(limits.choose("groups", st.integers(1, max(1, min(3, most)))))
    inputs = draw(st.integers(1, max(1, min(3, most // groups))))
    return Channels(groups * inputs, groups * draw(st.integers(1, 3)), groups)


def _reach(limits: Limits) -> int:
    """The largest kernel extent whose square leaves room for two channels."""
    return max(2, math.isqrt(limits.elements // 2))


@st.composite
def _stepped_size(draw: DrawFn, smallest: int, stride: int, room: int) -> int:
    """A size of one axis from the smallest that fits, up to 3 strides more and with every remainder
    that the stride can leave.
    """
    steps = draw(st.integers(0, max(0, min(3, (room - smallest) // stride))))
    return smallest + stride * steps + draw(st.integers(0, stride - 1))


@st.composite
def _image(
    draw: DrawFn, limits: Limits, batch: int, channels: int, smallest: Shape, strides: Shape
) -> Shape:
    """(batch, channels, height, width) with at least the smallest size."""
    area = limits.elements // (max(1, batch) * channels)
    height = draw(_stepped_size(smallest[0], strides[0], area // smallest[1]))
    width = draw(_stepped_size(smallest[1], strides[1], area // height))
    return batch, channels, height, width


@st.composite
def _channels_beside(draw: DrawFn, limits: Limits, smallest: Shape, batch: int) -> Channels:
    """Channels that leave room for images of the smallest size."""
    most = limits.elements // (max(1, batch) * math.prod(smallest))
    return draw(grouped_channels(most, limits))


def paddings(limits: Limits, window: Window) -> SearchStrategy[Padding]:
    """Padding by number or by name; 'same' with a stride only where that clause is not waived."""
    same_is_claimed = Clause.STRIDED_SAME not in limits.waived
    unstrided = max(per_axis(window.stride)) == 1
    named = ["same", "valid"] if same_is_claimed or unstrided else ["valid"]
    return limits.choose("padding", st.one_of(pairs(st.integers(0, 3)), st.sampled_from(named)))


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
    window = draw(windows(_reach(limits), limits=limits))
    padding = draw(paddings(limits, window))
    smallest = smallest_size(window, padding)
    batch = draw(st.sampled_from(limits.batches))
    channels = draw(_channels_beside(limits, smallest, batch))
    bias = draw(limits.choose("bias", st.booleans()))
    image = draw(_image(limits, batch, channels.inputs, smallest, per_axis(window.stride)))
    layer = LayerCall.of(
        "Conv2d", **channels.arguments, **window.arguments, padding=padding, bias=bias
    )
    weights = channels.weights(per_axis(window.kernel), bias)
    return Geometry(layer, (("input", image),), weights)


def output_paddings(window: Window) -> SearchStrategy[int | tuple[int, int]]:
    """Output padding smaller than stride or dilation, on each axis."""
    both = zip(per_axis(window.stride), per_axis(window.dilation), strict=True)
    rows, columns = (max(s, d) - 1 for s, d in both)
    return st.one_of(
        st.tuples(st.integers(0, rows), st.integers(0, columns)),
        st.integers(0, min(rows, columns)),
    )


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
    window = draw(windows(_reach(limits), limits=limits))
    padding = draw(limits.choose("padding", pairs(st.integers(0, 3))))
    extra = draw(limits.choose("output_padding", output_paddings(window)))
    single = transposed_size((1, 1), window, padding, extra)
    # Each further input pixel adds a stride of output; start where at least one pixel is left.
    smallest = tuple(
        1 + max(0, math.ceil((1 - n) / s))
        for n, s in zip(single, per_axis(window.stride), strict=True)
    )
    batch = draw(st.sampled_from(limits.batches))
    channels = draw(_channels_beside(limits, window.extents, batch))
    bias = draw(limits.choose("bias", st.booleans()))
    image = draw(_image(limits, batch, channels.inputs, smallest, (1, 1)))
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


CLEAR_SCALES = (2, 1, 3, 4, 1.5, 2.5, 0.5, 0.75, 1.25)
"""Scale factors whose source index no rounding can move."""

DELICATE_SCALES = (1.00001, 0.99999, 120 / 88, 88 / 120, 4 / 3, 2 / 3, 1.1, 2.01, 2.7, 0.3, 1.9999)
"""Scale factors of which i / s comes close to an integer for some i."""


def scales(limits: Limits) -> SearchStrategy[float]:
    """Scale factors: integers, halves and quarters; unless waived, delicate ones and any from 0.25
    to 4.
    """
    clear: SearchStrategy[float] = st.sampled_from(CLEAR_SCALES)
    if Clause.ANY_SCALE in limits.waived:
        return clear
    return st.one_of(clear, st.sampled_from(DELICATE_SCALES), st.floats(0.25, 4, width=32))


def scale_per_axis(argument: float | tuple[float, ...]) -> tuple[float, ...]:
    """A scale factor as one number per axis."""
    return argument if isinstance(argument, tuple) else (argument, argument)


def enlarged_size(size: Shape, scale: float | tuple[float, ...]) -> Shape:
    """floor(scale size) of each axis: the size that nearest upsampling gives."""
    return tuple(math.floor(n * s) for n, s in zip(size, scale_per_axis(scale), strict=True))


@st.composite
def _enlarged_axes(
    draw: DrawFn, limits: Limits, area: int
) -> tuple[float | tuple[float, ...], Shape]:
    """A scale factor, one or a pair, with a size that it does not shrink to nothing.

    One axis in eight is long, since the index of a delicate scale goes wrong far from 0.
    """
    free = st.one_of(st.tuples(scales(limits), scales(limits)), scales(limits))
    scale = draw(limits.choose("scale_factor", free))
    sizes = []
    for factor in scale_per_axis(scale):
        longest = 100 if draw(st.integers(0, 7)) == 7 else 7
        smallest = max(1, math.ceil(1 / factor))
        size = draw(st.integers(smallest, max(smallest, min(longest, area))))
        # ceil(1 / factor) times factor may fall short of 1 by a rounding.
        sizes.append(size if math.floor(size * factor) else size + 1)
        area //= sizes[-1]
    return scale, tuple(sizes)


@st.composite
def nearest_upsamplings(draw: DrawFn, limits: Limits) -> Geometry:
    """NearestUpsampling: any scale, one or per axis, on short and long axes."""
    batch = draw(st.sampled_from(limits.batches))
    channels = draw(st.integers(1, 3))
    scale, size = draw(_enlarged_axes(limits, limits.elements // (max(1, batch) * channels)))
    layer = LayerCall.of("NearestUpsampling", scale_factor=scale)
    return Geometry(layer, (("input", (batch, channels, *size)),))


@st.composite
def upsamplings(draw: DrawFn, limits: Limits) -> Geometry:
    """Upsampling: nearest, then a convolution whose kernel fits the enlarged image."""
    batch = draw(st.sampled_from(limits.batches))
    channels = draw(grouped_channels(limits=limits))
    # The enlarged image is what costs: at most 16 times as large.
    room = max(1, limits.elements // (4 * max(1, batch) * channels.inputs))
    scale, size = draw(_enlarged_axes(limits, room))
    large = enlarged_size(size, scale)
    window = draw(windows(4, limits=limits))
    padding = draw(paddings(limits, window))
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


def enough_padding(size: Shape, window: Window, padding: Amount) -> Amount:
    """The padding, or where the kernel would not fit as much more as it needs on each axis."""
    axes = zip(size, window.extents, per_axis(padding), strict=True)
    needed = tuple(max(p, math.ceil((e - n) / 2)) for n, e, p in axes)
    return padding if needed == per_axis(padding) else needed
