"""Uses that must be refused, as data: a right geometry with one argument or one shape spoilt.

Everything else about the geometry is right, so the error can only be about what was spoilt, and its
message must name it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from verification.cases import SAME, LayerCall
from verification.references.row import Refusal
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometries.images import enlarged_size, transposed_size
from verification.strategies.geometries.windows import Window
from verification.strategies.geometry import (
    SMALL,
    Geometry,
    Limits,
    NamedShapes,
    Shape,
    numbers,
    per_axis,
)

Geometries = Callable[[Limits], SearchStrategy[Geometry]]


@dataclass(frozen=True)
class Wrong:
    """A value that an argument must not have, the error that says so, and the part of the value
    that is wrong.
    """

    value: Any
    error: str
    culprit: Any


def _valued(value: Any) -> Wrong:
    return Wrong(value, "ValueError", value)


def _typed(value: Any) -> Wrong:
    return Wrong(value, "TypeError", value)


_NOT_WHOLE = (*map(_typed, (True, 2.0, 1.5, math.nan, None, "3")),)
_NOT_A_PAIR = (
    *map(_valued, ((1, 2, 3), (1,), ())),
    Wrong((True, 1), "TypeError", True),
    Wrong((1, 2.0), "TypeError", 2.0),
)

COUNT = (*map(_valued, (0, -2)), *_NOT_WHOLE, _typed((1, 2)))
"""What a number of channels or groups must not be."""

SIZES = (
    *map(_valued, (0, -1)),
    *_NOT_WHOLE,
    *_NOT_A_PAIR,
    Wrong((1, 0), "ValueError", 0),
    Wrong((-1, 1), "ValueError", -1),
)
"""What a kernel size, a stride or a dilation must not be."""

AMOUNTS = (
    *map(_valued, (-1, -3)),
    *_NOT_WHOLE[:-1],
    *_NOT_A_PAIR,
    Wrong((0, -1), "ValueError", -1),
)
"""What a padding must not be."""

NAMED_AMOUNTS = (*AMOUNTS, *map(_valued, ("full", "SAME")))
"""What a padding that has names must not be."""

SCALE = (
    *map(_valued, (0, 0.0, -1.5, math.nan, math.inf)),
    *map(_typed, (True, "2", None)),
    *map(_valued, ((1, 2, 3), (2,))),
    Wrong((2, 0), "ValueError", 0),
    Wrong((math.nan, 1), "ValueError", math.nan),
    Wrong((1.5, True), "TypeError", True),
)
"""What a scale factor must not be."""

FLAG = tuple(map(_typed, (1, None, "yes")))
"""What a switch must not be."""

REDUCTION = tuple(map(_valued, ("none", "average", "")))
"""What a loss's reduction must not be."""

RATE = (*map(_valued, (-0.1, math.nan, math.inf)), *map(_typed, (True, "0.1", None)))
"""What a learning rate or a momentum must not be."""


KINDS = 4
"""Mistakes that a strategy beside the arguments' may draw, roughly: shapes and axes."""


@st.composite
def mistakes(
    draw: DrawFn,
    geometries: Geometries,
    table: Mapping[str, tuple[Wrong, ...]],
    *others: SearchStrategy[Refusal],
    when: str = "build",
) -> Refusal:
    """One argument of the table has a value that it must not have, or another mistake is made: each
    about as often as any other, so that a campaign meets nearly all.
    """
    values = [(name, wrong) for name in sorted(table) for wrong in table[name]]
    last = len(values) + KINDS * len(others) - 1
    # Hypothesis draws its first tenth in pairs that begin alike and end differently, and that are
    # to make different mistakes.
    chosen = (draw(numbers(0, last)) + draw(numbers(0, last))) % (last + 1)
    if chosen >= len(values):
        return draw(others[(chosen - len(values)) // KINDS])
    geometry, (name, wrong) = draw(geometries(SMALL)), values[chosen]
    layer = geometry.layer.with_arguments(**{name: wrong.value})
    return Refusal(replace(geometry, layer=layer), when, wrong.error, (name, repr(wrong.culprit)))


@st.composite
def undivided_channels(draw: DrawFn, geometries: Geometries) -> Refusal:
    """Groups that do not divide the channels."""
    geometry = draw(geometries(SMALL))
    groups = geometry.layer.kwargs["in_channels"] + 1
    layer = geometry.layer.with_arguments(groups=groups)
    return Refusal(replace(geometry, layer=layer), "build", "ValueError", ("groups", str(groups)))


@st.composite
def too_much_output_padding(draw: DrawFn, geometries: Geometries) -> Refusal:
    """Output padding as large as stride and dilation, on one axis."""
    geometry = draw(geometries(SMALL))
    stride, dilation = (per_axis(geometry.layer.kwargs[n]) for n in ("stride", "dilation"))
    axis, extra = draw(st.integers(0, 1)), [0, 0]
    extra[axis] = max(stride[axis], dilation[axis])
    layer = geometry.layer.with_arguments(output_padding=tuple(extra))
    says = ("output_padding", str(extra[axis]))
    return Refusal(replace(geometry, layer=layer), "build", "ValueError", says)


@st.composite
def bad_images(draw: DrawFn, geometries: Geometries, channels: bool = True) -> Refusal:
    """An input without its batch, with an axis too many, an empty axis, or another number of
    channels where the layer has one.
    """
    geometry = draw(geometries(SMALL))
    n, c, h, w = geometry.inputs[0][1]
    shapes: list[Shape] = [(c, h, w), (1, n, c, h, w), (n, c, 0, w), (n, c, h, 0), (n, 0, h, w)]
    shapes += [(n, c + 1, h, w)] if channels else []
    return _refused_input(geometry, draw(st.sampled_from(shapes)))


def _refused_input(geometry: Geometry, shape: Shape, *says: str) -> Refusal:
    spoilt = replace(geometry, inputs=(("input", shape),))
    return Refusal(spoilt, "forward", "ValueError", ("input", *(says or (str(shape),))))


@st.composite
def too_large_kernels(draw: DrawFn, geometries: Geometries) -> Refusal:
    """A kernel one pixel larger than the image, on one axis, and no padding."""
    geometry = draw(geometries(SMALL))
    arguments, size = geometry.layer.kwargs, geometry.inputs[0][1][2:]
    seen = enlarged_size(size, arguments.get("scale_factor", 1))
    kernel, axis = list(per_axis(arguments["kernel_size"])), draw(st.integers(0, 1))
    kernel[axis] = seen[axis] + 1
    layer = geometry.layer.with_arguments(kernel_size=tuple(kernel), padding=0)
    parameters = _with_kernel(geometry.parameters, tuple(kernel))
    spoilt = replace(geometry, layer=layer, parameters=parameters)
    return _refused_input(spoilt, geometry.inputs[0][1], "kernel")


def _with_kernel(parameters: NamedShapes, kernel: Shape) -> NamedShapes:
    return tuple((n, (*s[:2], *kernel) if n == "weight" else s) for n, s in parameters)


@st.composite
def nothing_left(draw: DrawFn, geometries: Geometries) -> Refusal:
    """A transposed convolution whose padding takes all the output away, on one axis or on both."""
    geometry = draw(geometries(SMALL))
    arguments, shape = geometry.layer.kwargs, geometry.inputs[0][1]
    window = Window(arguments["kernel_size"], arguments["stride"], arguments["dilation"])
    whole = transposed_size(shape[2:], window, 0, arguments["output_padding"])
    taken = draw(st.sampled_from([(1, 1), (1, 0), (0, 1)]))
    padding = tuple(math.ceil(n / 2) * axis for n, axis in zip(whole, taken, strict=True))
    layer = geometry.layer.with_arguments(padding=padding)
    return _refused_input(replace(geometry, layer=layer), shape, "padding")


@st.composite
def shrunk_to_nothing(draw: DrawFn, geometries: Geometries) -> Refusal:
    """A scale factor so small that no output pixel is left, on one axis or on both."""
    geometry = draw(geometries(SMALL))
    shape = geometry.inputs[0][1]
    tiny = 1 / (2 * max(shape[2:]))
    scale = draw(st.sampled_from([tiny, (tiny, 1.0), (1.0, tiny)]))
    layer = geometry.layer.with_arguments(scale_factor=scale)
    return _refused_input(replace(geometry, layer=layer), shape, "scale_factor")


@st.composite
def unlike_targets(draw: DrawFn, geometries: Geometries) -> Refusal:
    """A target of another shape, broadcastable ones among them."""
    geometry = draw(geometries(SMALL))
    shape = geometry.inputs[0][1]
    other = draw(st.sampled_from([(*shape, 1), (1, *shape), (*shape[:-1], shape[-1] + 1), ()]))
    spoilt = replace(geometry, inputs=(("input", shape), ("target", other)))
    return Refusal(spoilt, "forward", "ValueError", ("target", str(other)))


@st.composite
def means_of_nothing(draw: DrawFn, geometries: Geometries) -> Refusal:
    """The mean over a tensor without elements."""
    geometry = draw(geometries(SMALL))
    empty = (0, *geometry.inputs[0][1][1:])
    layer = geometry.layer.with_arguments(reduction="mean")
    spoilt = replace(geometry, layer=layer, inputs=(("input", empty), ("target", empty)))
    return Refusal(spoilt, "forward", "ValueError", ("input", str(empty)))


@st.composite
def the_same_twice(draw: DrawFn) -> Refusal:
    """A Sequential of which two layers are one, with none or one of its kind between them."""
    kind = draw(st.sampled_from(("ReLU", "Sigmoid")))
    count = draw(numbers(1, 2))
    again = LayerCall.of(SAME, place=draw(numbers(0, count - 1)))
    layer = LayerCall.of("Sequential", *[LayerCall.of(kind)] * count, again)
    geometry = Geometry(layer, (("input", (1, 1)),), ())
    return Refusal(geometry, "build", "ValueError", (f"modules[{count}]", kind))


def inside(refusal: Refusal) -> Refusal:
    """The same refusal by a layer inside a Sequential."""
    geometry = refusal.geometry
    layer = LayerCall.of("Sequential", LayerCall.of("ReLU"), geometry.layer)
    parameters = tuple((f"1.{name}", shape) for name, shape in geometry.parameters)
    spoilt = replace(geometry, layer=layer, parameters=parameters)
    return replace(refusal, geometry=spoilt)
