"""Geometry of the normalisations: batch, channels, and axes of different sizes."""

from __future__ import annotations

import math

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometries.activations import draw_arguments
from verification.strategies.geometry import (
    Geometry,
    Limits,
    NamedShapes,
    Shape,
    choices,
    numbers,
)

EPSILONS = (1e-5, 1e-3, 1.0)
MOMENTA = (0.1, None, 0.5, 1.0, 0.0)


def _draw_axes(draw: DrawFn, room: int, count: int) -> Shape:
    """So many axes of different sizes, larger ones among them."""
    sizes: list[int] = []
    for _ in range(count):
        sizes.append(draw(numbers(1, max(1, min(9, room)))))
        room //= sizes[-1]
    return tuple(sizes)


def _affine(shape: Shape, weight: bool, bias: bool) -> NamedShapes:
    present = (("weight", weight), ("bias", bias))
    return tuple((name, shape) for name, wanted in present if wanted)


@st.composite
def batch_norms(draw: DrawFn, limits: Limits, name: str, dims: tuple[int, ...]) -> Geometry:
    """A batch norm over as many axes as one of `dims` says; outside of training one or two earlier
    batches stand beside the input.

    In training there are at least two numbers for each channel: the variance of one is refused.
    """
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 4))
    room = limits.elements // max(1, batch * channels)
    axes = _draw_axes(draw, room, draw(choices(dims)))
    arguments = draw_arguments(
        draw,
        limits,
        {
            "eps": EPSILONS,
            "momentum": MOMENTA,
            "affine": (True, False),
            "track_running_stats": (True, False),
            "training": (True, False),
        },
    )
    past = arguments["track_running_stats"] and not arguments["training"]
    if not past and batch * math.prod(axes) < 2:
        axes = (*axes[:-1], 2) if axes else (2,)
    earlier = draw(_earlier((batch + 1, channels, *axes))) if past else ()
    return Geometry(
        LayerCall.of(name, num_features=channels, **arguments),
        (("input", (batch, channels, *axes)), *earlier),
        _affine((channels,), arguments["affine"], arguments["affine"]),
    )


def _earlier(shape: Shape) -> SearchStrategy[NamedShapes]:
    """One or two earlier batches of that shape."""
    both = (("earlier.0", shape), ("earlier.1", shape))
    return st.sampled_from([both[:1], both])


@st.composite
def instance_norms(draw: DrawFn, limits: Limits, name: str, dims: int) -> Geometry:
    """An instance norm over `dims` axes, which hold at least two numbers; outside of training one
    that keeps statistics has one or two earlier batches beside the input.
    """
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 4))
    axes = _draw_axes(draw, limits.elements // max(1, batch * channels), dims)
    if math.prod(axes) < 2:
        axes = (*axes[:-1], 2)
    arguments = draw_arguments(
        draw,
        limits,
        {
            "eps": EPSILONS,
            "momentum": tuple(m for m in MOMENTA if m is not None),
            "affine": (False, True),
            "track_running_stats": (False, True),
            "training": (True, False),
        },
    )
    past = arguments["track_running_stats"] and not arguments["training"]
    earlier = draw(_earlier((batch + 1, channels, *axes))) if past else ()
    return Geometry(
        LayerCall.of(name, num_features=channels, **arguments),
        (("input", (batch, channels, *axes)), *earlier),
        _affine((channels,), arguments["affine"], arguments["affine"]),
    )


@st.composite
def group_norms(draw: DrawFn, limits: Limits) -> Geometry:
    """A group norm: one group, one for each channel, or between; up to two axes follow."""
    batch, groups, width = draw(choices(limits.batches)), draw(numbers(1, 3)), draw(numbers(1, 3))
    channels = groups * width
    room = limits.elements // max(1, batch * channels)
    axes = _draw_axes(draw, room, draw(choices((2, 0, 1))))
    if width * math.prod(axes) < 2:  # a group of one number is its own mean
        axes = (*axes, 2)
    arguments = draw_arguments(draw, limits, {"eps": EPSILONS, "affine": (True, False)})
    return Geometry(
        LayerCall.of("GroupNorm", num_groups=groups, num_channels=channels, **arguments),
        (("input", (batch, channels, *axes)),),
        _affine((channels,), arguments["affine"], arguments["affine"]),
    )


@st.composite
def last_axes(
    draw: DrawFn, limits: Limits, name: str, epsilons: tuple[float | None, ...]
) -> Geometry:
    """A norm over the last one or two axes, after a batch and up to two axes more."""
    batch = draw(choices(limits.batches))
    room = limits.elements // max(1, batch)
    before = _draw_axes(draw, min(room, 4), draw(choices((1, 0, 2))))
    room //= math.prod(before)
    shape = _draw_axes(draw, room, draw(choices((1, 2))))
    if len(shape) == 1 and draw(st.booleans()):
        shape = (draw(numbers(1, max(1, min(40, room)))),)
    arguments = draw_arguments(draw, limits, {"eps": epsilons, "elementwise_affine": (True, False)})
    biased = arguments["elementwise_affine"] and name == "LayerNorm"
    if biased:
        arguments |= draw_arguments(draw, limits, {"bias": (True, False)})
    return Geometry(
        LayerCall.of(name, normalized_shape=shape, **arguments),
        (("input", (batch, *before, *shape)),),
        _affine(shape, arguments["elementwise_affine"], biased and arguments["bias"]),
    )
