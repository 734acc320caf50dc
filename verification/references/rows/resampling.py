"""The row of interpolation: nearest neighbour by two rules, and linear over one to three axes.

Source: torch.nn.Upsample's documentation, and for the source positions `area_pixel_compute_scale`
and `area_pixel_compute_source_index` of torch's ATen/native/UpSample.h.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from verification.cases import LayerCall
from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import INPUT, Enclosures, Law, Multilinear, Tensors
from verification.references.laws.weighted import Weighted
from verification.references.row import Clause, Row, Trait
from verification.references.rows.upsampling import LARGE_NEAREST, source_index
from verification.strategies.geometries import resampling
from verification.strategies.geometries.images import scale_per_axis
from verification.strategies.geometry import Shape, per_axis

Axis = tuple[int, int, float | None]
"""Of one axis: the size that arrives, the size that leaves, the scale factor if one is given."""


def _axes(arguments: Mapping[str, Any], shape: Shape) -> list[Axis]:
    sizes, dims = shape[2:], len(shape) - 2
    if arguments["size"] is not None:
        wanted = per_axis(arguments["size"], dims)
        return [(n, m, None) for n, m in zip(sizes, wanted, strict=True)]
    scales = scale_per_axis(arguments["scale_factor"], dims)
    return [(n, math.floor(n * s), s) for n, s in zip(sizes, scales, strict=True)]


def _nearest(size: int, count: int, scale: float | None) -> Tensor:
    """By the rule of "nearest": the pixel at i / scale, rounded down."""
    return source_index(size, count / size if scale is None else scale)


def _nearest_exact(size: int, count: int, scale: float | None) -> Tensor:
    """By the rule of "nearest-exact": the pixel at (i + 1/2) / scale, in float32."""
    step = torch.tensor(size / count if scale is None else 1 / scale, dtype=torch.float32)
    return ((torch.arange(count) + 0.5) * step).floor().long().clamp(max=size - 1)


def _gathered(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    x = tensors[INPUT]
    index = _nearest if arguments["mode"] == "nearest" else _nearest_exact
    for axis, sizes in enumerate(_axes(arguments, tuple(x.shape)), start=2):
        x = x.index_select(axis, index(*sizes))
    return x


def _weights(arguments: Mapping[str, Any], shape: Shape, precision: Precision) -> Enclosures:
    """For each axis the matrix that interpolates along it, (size that leaves, size that arrives).

    Output i looks at position p of the input, and pixel j counts 1 - |p - j| where that is
    positive; so an error of p is at most that error in each weight, and can reach one pixel more.
    Where the size stays p is i, whatever scale factor was given.
    """
    weights = {}
    for axis, (size, count, scale) in enumerate(_axes(arguments, shape)):
        i = torch.arange(count, dtype=torch.float64)
        if size == count:
            position = reached = i
        elif arguments["align_corners"]:
            position = reached = i * ((size - 1) / max(1, count - 1))
        else:
            step = size / count if scale is None else 1 / scale
            position = ((i + 0.5) * step - 0.5).clamp(min=0)
            reached = (i + 0.5) * step + 0.5
        # The scale, its reciprocal, a product and a difference; one more is for 1 - |p - j|.
        off = precision.gamma(4) * reached
        distance = (position.clamp(max=size - 1)[:, None] - torch.arange(size)).abs()
        value = (1 - distance).clamp(min=0)
        error = torch.where(distance < 1 + off[:, None], off[:, None] + precision.gamma(1), 0.0)
        weights[_name(axis)] = Enclosure(value, error, value, exact=False)
    return weights


def _interpolated(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    x = tensors[INPUT]
    for axis in range(x.ndim - 2):
        x = (x.movedim(axis + 2, -1) @ tensors[_name(axis)].T).movedim(-1, axis + 2)
    return x


def _name(axis: int) -> str:
    return f"weights of axis {axis}"


@dataclass(frozen=True)
class ByMode:
    """The law of a layer that an argument makes one of several kinds."""

    def _law(self, call: LayerCall) -> Law:
        if call.kwargs["mode"] in resampling.LINEAR_MODES:
            return Weighted(_interpolated, _weights)
        return Multilinear(_gathered, degree_of_terms=1)

    def degree(self, call: LayerCall) -> int:
        return self._law(call).degree(call)

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        return self._law(call).forward(call, tensors, precision)

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        return self._law(call).backward(call, tensors, cotangents, precision)


UPSAMPLE = Row(
    name="Upsample",
    law=ByMode(),
    geometries=functools.partial(
        resampling.interpolations,
        name="Upsample",
        modes=("nearest", "bilinear", "nearest-exact", "linear", "trilinear"),
    ),
    traits=frozenset({Trait.LINEAR_IN_INPUT, Trait.BATCHED, Trait.DIFFERENTIABLE, Trait.RESIZABLE}),
    # Whether a pixel of weight 0 is looked at, and so whether its infinity counts, is open.
    clauses=frozenset(Clause) - {Clause.NON_FINITE},
    twin=nn.Upsample,
    departures=LARGE_NEAREST,
)

ROWS = (UPSAMPLE,)
