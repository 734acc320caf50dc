"""Geometry of containers: trees of layers whose shapes fit one another.

A layer inside a container cannot choose its input. So each strategy here is given the shape that
arrives and draws a layer that takes it, with as much padding as its kernel needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from verification.cases import LayerCall
from verification.references.clauses import Clause
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometries.images import (
    CLEAR_SCALES,
    Channels,
    enlarged_size,
    enough_padding,
    output_paddings,
    transposed_size,
)
from verification.strategies.geometries.windows import Window, draw_window
from verification.strategies.geometry import (
    Amount,
    Geometry,
    Limits,
    NamedShapes,
    Shape,
    choices,
    numbers,
    per_axis,
)

LARGEST = 9
"""Longest side of an image between two layers."""

DEEPEST = 3
"""How deep containers are nested, the outermost counted."""

LENGTHS = (0, 1, 2, 3, 3, 4)
"""How many layers a container holds; an inner one has at most two."""


@dataclass(frozen=True)
class Link:
    """A layer of a chain: its call, its parameters' shapes, and the shape it hands on."""

    layer: LayerCall
    parameters: NamedShapes
    output: Shape


DrawLink = Callable[[DrawFn, Shape], Link]


@st.composite
def sequentials(draw: DrawFn, limits: Limits) -> Geometry:
    """Sequential: none to four layers, containers among them, three deep at most."""
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 3))
    side = max(1, min(LARGEST, math.isqrt(limits.elements // (3 * max(1, *limits.batches)))))
    image = (batch, channels, draw(numbers(1, side)), draw(numbers(1, side)))
    saturating = Clause.SATURATION not in limits.waived
    kinds = tuple(kind for kind in LINKS if saturating or kind is not _draw_sigmoid)
    link = _draw_sequential(draw, image, kinds, DEEPEST)
    return Geometry(link.layer, (("input", image),), link.parameters)


def _draw_sequential(draw: DrawFn, shape: Shape, kinds: tuple[DrawLink, ...], depth: int) -> Link:
    links: list[Link] = []
    for _ in range(draw(choices(LENGTHS if depth == DEEPEST else LENGTHS[:3]))):
        kind = draw(numbers(0, len(kinds) if depth > 1 else len(kinds) - 1))
        arriving = links[-1].output if links else shape
        if kind < len(kinds):
            links.append(kinds[kind](draw, arriving))
        else:
            links.append(_draw_sequential(draw, arriving, kinds, depth - 1))
    parameters = tuple(
        (f"{position}.{name}", sizes)
        for position, link in enumerate(links)
        for name, sizes in link.parameters
    )
    layer = LayerCall.of("Sequential", *(link.layer for link in links))
    return Link(layer, parameters, links[-1].output if links else shape)


def _draw_relu(draw: DrawFn, shape: Shape) -> Link:
    return Link(LayerCall.of("ReLU"), (), shape)


def _draw_sigmoid(draw: DrawFn, shape: Shape) -> Link:
    return Link(LayerCall.of("Sigmoid"), (), shape)


def _draw_convolution(draw: DrawFn, shape: Shape) -> Link:
    size, window, channels = shape[2:], draw_window(draw, 3, 2), _draw_channels(draw, shape[1])
    padding = enough_padding(size, window, draw(numbers(0, 1)))
    layer = LayerCall.of(
        "Conv2d", **channels.arguments, **window.arguments, padding=padding, bias=True
    )
    weights = channels.weights(per_axis(window.kernel), bias=True)
    output = _correlated_size(size, window, padding)
    return Link(layer, weights, (shape[0], channels.outputs, *output))


def _draw_transposed_convolution(draw: DrawFn, shape: Shape) -> Link:
    largest_stride = 2 if max(shape[2:]) <= LARGEST // 2 else 1
    window, channels = draw_window(draw, 3, largest_stride), _draw_channels(draw, shape[1])
    extra = draw(output_paddings(window))
    # A padding of 1 takes two pixels away, which the output may not have.
    roomy = min(transposed_size(shape[2:], window, 0, extra)) > 2
    padding = draw(numbers(0, 1)) if roomy else 0
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


def _draw_nearest_upsampling(draw: DrawFn, shape: Shape) -> Link:
    scale = _draw_scales(draw, shape)
    layer = LayerCall.of("NearestUpsampling", scale_factor=scale)
    return Link(layer, (), (*shape[:2], *enlarged_size(shape[2:], scale)))


def _draw_upsampling(draw: DrawFn, shape: Shape) -> Link:
    scale, window = _draw_scales(draw, shape), draw_window(draw, 3, 2)
    channels, size = _draw_channels(draw, shape[1]), enlarged_size(shape[2:], scale)
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


LINKS: tuple[DrawLink, ...] = (
    _draw_relu,
    _draw_sigmoid,
    _draw_convolution,
    _draw_nearest_upsampling,
    _draw_transposed_convolution,
    _draw_upsampling,
)
"""The layers that may stand in a chain beside containers, the simplest first."""


def _draw_channels(draw: DrawFn, arriving: int) -> Channels:
    """1 to 3 channels, or one for each group, from those that arrive."""
    groups = draw(choices((1, arriving)))
    return Channels(arriving, arriving if groups > 1 else draw(numbers(1, 3)), groups)


def _draw_scales(draw: DrawFn, shape: Shape) -> tuple[float, ...]:
    """A scale factor for each axis, among those that keep the image's sides in 1 .. LARGEST."""
    return tuple(
        draw(choices(tuple(s for s in CLEAR_SCALES if 1 <= math.floor(size * s) <= LARGEST)))
        for size in shape[2:]
    )


def _correlated_size(size: Shape, window: Window, padding: Amount) -> Shape:
    """floor((n + 2 padding - extent) / stride) + 1 of each axis (torch.nn.Conv2d's
    documentation).
    """
    axes = zip(size, per_axis(padding), window.extents, window.strides, strict=True)
    return tuple((n + 2 * p - e) // s + 1 for n, p, e, s in axes)
