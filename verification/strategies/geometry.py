"""Geometry: how a layer is built and the shapes of its tensors, drawn against symmetry.

A test that draws squares cannot see swapped axes. So each axis gets its own size, kernel, stride,
padding and dilation, sizes leave remainders, and one channel, one sample and no sample are drawn on
purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from verification.cases import LayerCall

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Geometry:
    """A layer's call with the shapes of its inputs and parameters, by name and in order."""

    layer: LayerCall
    inputs: tuple[tuple[str, Shape], ...]
    parameters: tuple[tuple[str, Shape], ...] = ()


@dataclass(frozen=True)
class Limits:
    """What a property asks of a geometry.

    `elements` bounds the input's number of elements softly (sizes are chosen to stay below it);
    `batches` are the batch sizes to choose from, the simplest first.
    """

    elements: int = 500
    batches: tuple[int, ...] = (1, 2, 3)

    def with_empty_batch(self) -> Limits:
        """The same limits with batch size 0 among the choices."""
        return Limits(self.elements, (*self.batches, 0))


def pairs(elements: SearchStrategy[int]) -> SearchStrategy[int | tuple[int, int]]:
    """One number for both axes or one per axis; the pair is the common case, since it can tell the
    axes apart.
    """
    return st.one_of(st.tuples(elements, elements), elements)


def per_axis(argument: int | tuple[int, ...], dims: int) -> tuple[int, ...]:
    """An argument of a layer as one number per axis."""
    return (argument,) * dims if isinstance(argument, int) else argument


@st.composite
def convolutions(draw: DrawFn, limits: Limits) -> Geometry:
    """Conv2d: kernel, stride, padding ('same' and 'valid' too), dilation, groups, bias, channels,
    batch, size.
    """
    kernel = draw(pairs(st.integers(1, 4)))
    stride = draw(pairs(st.integers(1, 4)))
    dilation = draw(pairs(st.integers(1, 3)))
    padding = draw(st.one_of(pairs(st.integers(0, 3)), st.sampled_from(["same", "valid"])))
    channels = draw(grouped_channels())
    bias = draw(st.booleans())
    batch = draw(st.sampled_from(limits.batches))
    # 'same' pads by the kernel's extent less one, so any size fits it.
    pads = {"valid": 0, "same": 4}[padding] if isinstance(padding, str) else padding
    size = tuple(
        draw(axis_sizes(k, s, p, d))
        for k, s, p, d in zip(
            per_axis(kernel, 2),
            per_axis(stride, 2),
            per_axis(pads, 2),
            per_axis(dilation, 2),
            strict=True,
        )
    )
    layer = LayerCall.of(
        "Conv2d",
        in_channels=channels.inputs,
        out_channels=channels.outputs,
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels.groups,
        bias=bias,
    )
    weight = (channels.outputs, channels.inputs // channels.groups, *per_axis(kernel, 2))
    parameters = (("weight", weight), *((("bias", (channels.outputs,)),) if bias else ()))
    return Geometry(layer, (("input", (batch, channels.inputs, *size)),), parameters)


@dataclass(frozen=True)
class Channels:
    """Channels that `groups` divides."""

    inputs: int
    outputs: int
    groups: int


@st.composite
def grouped_channels(draw: DrawFn) -> Channels:
    """Few channels, one among them, in 1 to 3 groups, and depthwise with a multiplier."""
    groups = draw(st.integers(1, 3))
    return Channels(groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3)), groups)


@st.composite
def axis_sizes(draw: DrawFn, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """A size of one axis that yields 1 to 4 outputs, with every remainder that the stride can
    leave.
    """
    extent = dilation * (kernel - 1) + 1
    smallest = max(1, extent - 2 * padding)
    return smallest + stride * draw(st.integers(0, 3)) + draw(st.integers(0, stride - 1))


@st.composite
def elementwise(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """An elementwise layer: 1 to 4 axes of different sizes, the first of them the batch."""
    batch = draw(st.sampled_from(limits.batches))
    rest = draw(st.lists(st.integers(1, 5), min_size=0, max_size=3))
    return Geometry(LayerCall.of(name), (("input", (batch, *rest)),))
