"""Geometry of containers: trees of layers whose shapes fit one another.

A layer inside a container cannot choose its input. So each strategy here is given the shape that
arrives and draws a layer that takes it, with as much padding as its kernel needs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from verification.cases import LayerCall
from verification.strategies.geometry import Geometry, Limits, NamedShapes, Shape, per_axis
from verification.strategies.images import (
    CLEAR_SCALES,
    Amount,
    Channels,
    Window,
    enlarged_size,
    enough_padding,
    output_paddings,
    transposed_size,
    windows,
)

LARGEST = 9
"""Longest side of an image between two layers."""

DEEPEST = 3
"""How deep containers are nested, the outermost counted."""


@dataclass(frozen=True)
class Link:
    """A layer of a chain: its call, its parameters' shapes, and the shape it hands on."""

    layer: LayerCall
    parameters: NamedShapes
    output: Shape


@st.composite
def sequentials(draw: DrawFn, limits: Limits) -> Geometry:
    """Sequential: none to four layers, containers among them, three deep at most."""
    batch = draw(st.sampled_from(limits.batches))
    channels = draw(st.integers(1, 3))
    side = max(1, min(LARGEST, math.isqrt(limits.elements // (3 * max(1, *limits.batches)))))
    image = (batch, channels, draw(st.integers(1, side)), draw(st.integers(1, side)))
    link = draw(_sequential(image, depth=DEEPEST))
    return Geometry(link.layer, (("input", image),), link.parameters)


@st.composite
def _sequential(draw: DrawFn, shape: Shape, depth: int) -> Link:
    inner = functools.partial(_sequential, depth=depth - 1)
    kinds: list[Callable[[Shape], SearchStrategy[Link]]] = (
        [*SIMPLE, inner] if depth > 1 else [*SIMPLE]
    )
    links: list[Link] = []
    for _ in range(draw(st.integers(0, 4 if depth == DEEPEST else 2))):
        kind = draw(st.sampled_from(kinds))
        links.append(draw(kind(links[-1].output if links else shape)))
    parameters = tuple(
        (f"{position}.{name}", sizes)
        for position, link in enumerate(links)
        for name, sizes in link.parameters
    )
    layer = LayerCall.of("Sequential", *(link.layer for link in links))
    return Link(layer, parameters, links[-1].output if links else shape)


@st.composite
def _activation(draw: DrawFn, shape: Shape) -> Link:
    return Link(LayerCall.of(draw(st.sampled_from(["ReLU", "Sigmoid"]))), (), shape)


@st.composite
def _convolution(draw: DrawFn, shape: Shape) -> Link:
    size, window, channels = shape[2:], draw(windows(3, 2)), draw(_channels_after(shape[1]))
    padding = enough_padding(size, window, draw(st.integers(0, 1)))
    layer = LayerCall.of(
        "Conv2d", **channels.arguments, **window.arguments, padding=padding, bias=True
    )
    weights = channels.weights(per_axis(window.kernel), bias=True)
    output = _correlated_size(size, window, padding)
    return Link(layer, weights, (shape[0], channels.outputs, *output))


@st.composite
def _transposed_convolution(draw: DrawFn, shape: Shape) -> Link:
    largest_stride = 2 if max(shape[2:]) <= LARGEST // 2 else 1
    window, channels = draw(windows(3, largest_stride)), draw(_channels_after(shape[1]))
    extra = draw(output_paddings(window))
    # A padding of 1 takes two pixels away, which the output may not have.
    roomy = min(transposed_size(shape[2:], window, 0, extra)) > 2
    padding = draw(st.integers(0, 1)) if roomy else 0
    layer = LayerCall.of(
        "ConvTranspose2d",
        **channels.arguments,
        **window.arguments,
        padding=padding,
        output_padding=extra,
        bias=False,
    )
    weights = channels.transposed_weights(per_axis(window.kernel), bias=False)
    output = transposed_size(shape[2:], window, padding, extra)
    return Link(layer, weights, (shape[0], channels.outputs, *output))


@st.composite
def _nearest_upsampling(draw: DrawFn, shape: Shape) -> Link:
    scale = draw(_fitting_scales(shape))
    layer = LayerCall.of("NearestUpsampling", scale_factor=scale)
    return Link(layer, (), (*shape[:2], *enlarged_size(shape[2:], scale)))


@st.composite
def _upsampling(draw: DrawFn, shape: Shape) -> Link:
    scale, window = draw(_fitting_scales(shape)), draw(windows(3, 2))
    channels, size = draw(_channels_after(shape[1])), enlarged_size(shape[2:], scale)
    padding = enough_padding(size, window, 0)
    layer = LayerCall.of(
        "Upsampling",
        **channels.arguments,
        **window.arguments,
        scale_factor=scale,
        padding=padding,
        bias=True,
    )
    weights = channels.weights(per_axis(window.kernel), bias=True)
    output = _correlated_size(size, window, padding)
    return Link(layer, weights, (shape[0], channels.outputs, *output))


SIMPLE: tuple[Callable[[Shape], SearchStrategy[Link]], ...] = (
    _activation,
    _convolution,
    _nearest_upsampling,
    _transposed_convolution,
    _upsampling,
)
"""The layers that may stand in a chain beside containers."""


@st.composite
def _channels_after(draw: DrawFn, arriving: int) -> Channels:
    """1 to 3 channels, or one for each group, from those that arrive."""
    groups = draw(st.sampled_from([1, arriving]))
    return Channels(arriving, arriving if groups > 1 else draw(st.integers(1, 3)), groups)


def _fitting_scales(shape: Shape) -> SearchStrategy[tuple[float, ...]]:
    """A scale factor for each axis, among those that keep the image's sides in 1 .. LARGEST."""
    return st.tuples(
        *(
            st.sampled_from([s for s in CLEAR_SCALES if 1 <= math.floor(size * s) <= LARGEST])
            for size in shape[2:]
        )
    )


def _correlated_size(size: Shape, window: Window, padding: Amount) -> Shape:
    """floor((n + 2 padding - extent) / stride) + 1 of each axis (torch.nn.Conv2d's
    documentation).
    """
    axes = zip(size, per_axis(padding), window.extents, per_axis(window.stride), strict=True)
    return tuple((n + 2 * p - e) // s + 1 for n, p, e, s in axes)
