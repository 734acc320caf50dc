"""Geometry of the activations: tensors of any shape, with the arguments that a kind takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometry import Geometry, Limits, choices, draw_shape, numbers

Options = Mapping[str, tuple[Any, ...]]
"""The values to choose from for each argument of a layer, the simplest first."""


def draw_arguments(draw: DrawFn, limits: Limits, options: Options) -> dict[str, Any]:
    """One value for each argument."""
    return {name: draw(limits.choose(name, choices(values))) for name, values in options.items()}


@st.composite
def elementwise(draw: DrawFn, limits: Limits, name: str, options: Options) -> Geometry:
    """An elementwise layer with arguments, on a tensor of any shape."""
    layer = LayerCall.of(name, **draw_arguments(draw, limits, options))
    return Geometry(layer, (("input", draw_shape(draw, limits)),))


@st.composite
def along_an_axis(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """A layer along one axis other than the batch: its number from the front or from the back."""
    shape = [draw(choices(limits.batches))]
    room = limits.elements // max(1, shape[0])
    for _ in range(draw(choices((1, 1, 2, 3)))):
        shape.append(draw(numbers(1, max(1, min(24, room)))))
        room //= shape[-1]
    axes = range(1, len(shape))
    dim = draw(limits.choose("dim", choices((*axes, *(axis - len(shape) for axis in axes)))))
    return Geometry(LayerCall.of(name, dim=dim), (("input", tuple(shape)),))
