"""Rows of nearest upsampling, alone and before a convolution.

Source of the index: what torch's own backward of nearest upsampling gathers from (and its forward
on channels_last images). Its forward on contiguous images departs from that in larger images; see
docs/findings.md.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from verification.references.laws.law import INPUT, Multilinear, Tensors
from verification.references.row import Clause, Refusal, Row, Trait
from verification.references.rows.convolution import (
    AXIS_ORDER,
    STRIDED_SAME,
    WINDOW_ARGUMENTS,
    correlation,
)
from verification.strategies import refusals
from verification.strategies.drawing import SearchStrategy
from verification.strategies.geometries import images


def source_index(size: int, scale: float) -> Tensor:
    """The source pixel of every output pixel of one axis, int64 (floor(scale size),).

    i itself where the size stays, i >> 1 where it doubles, else floor(i f32(1 / scale)) in float32,
    at most size - 1.
    """
    count = math.floor(size * scale)
    i = torch.arange(count)
    if count == size:
        return i
    if count == 2 * size:
        return i // 2
    # Two factors of 24 bits have an exact product in float64: rounding it once is the float32
    # product.
    inverse = torch.tensor(1 / scale, dtype=torch.float32).double()
    return (i.double() * inverse).float().floor().long().clamp(max=size - 1)


def nearest(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """The image gathered by index on its last two axes."""
    x = tensors[INPUT]
    scales = images.scale_per_axis(arguments["scale_factor"])
    rows, columns = (source_index(n, s) for n, s in zip(x.shape[2:], scales, strict=True))
    return x[:, :, rows[:, None], columns]


def upsampled_conv2d(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """The cross-correlation of the enlarged image."""
    return correlation(arguments, {**tensors, INPUT: nearest(arguments, tensors)})


def fused(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """The same; a layer that fuses the two takes no stride."""
    return upsampled_conv2d({**arguments, "stride": 1}, tensors)


class UpsampledConv2d(nn.Conv2d):
    """torch.nn.Upsample, then torch.nn.Conv2d; the parameters are weight and bias."""

    def __init__(self, *, scale_factor: float | tuple[float, ...], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.enlarge = enlarging(scale_factor)

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of the enlarged images."""
        return super().forward(self.enlarge(input))


def enlarging(scale_factor: float | tuple[float, ...]) -> nn.Module:
    """torch.nn.Upsample by nearest neighbour."""
    return nn.Upsample(scale_factor=scale_factor, mode="nearest")


def _refusals() -> SearchStrategy[Refusal]:
    draw = images.nearest_upsamplings
    return refusals.mistakes(
        draw,
        {"scale_factor": refusals.SCALE},
        refusals.bad_images(draw, channels=False),
        refusals.shrunk_to_nothing(draw),
    )


def _refusals_before_convolution() -> SearchStrategy[Refusal]:
    draw = images.upsamplings
    more = {"padding": refusals.NAMED_AMOUNTS, "scale_factor": refusals.SCALE}
    return refusals.mistakes(
        draw,
        WINDOW_ARGUMENTS | more,
        refusals.undivided_channels(draw),
        refusals.bad_images(draw),
        refusals.shrunk_to_nothing(draw),
        refusals.too_large_kernels(draw),
    )


def _refusals_when_fused() -> SearchStrategy[Refusal]:
    draw = images.fused_upsamplings
    table = {name: wrong for name, wrong in WINDOW_ARGUMENTS.items() if name != "stride"}
    more = {"padding": refusals.NAMED_AMOUNTS, "scale_factor": refusals.SIZES}
    return refusals.mistakes(
        draw,
        table | more,
        refusals.undivided_channels(draw),
        refusals.bad_images(draw),
        refusals.too_large_kernels(draw),
    )


_TRAITS = frozenset({Trait.LINEAR_IN_INPUT, Trait.BATCHED, Trait.DIFFERENTIABLE, Trait.RESIZABLE})

LARGE_NEAREST = {
    Clause.LARGE_NEAREST: "the forward of large images gathers by another index than the backward"
}

NEAREST_UPSAMPLING = Row(
    name="NearestUpsampling",
    law=Multilinear(nearest, degree_of_terms=1),
    geometries=images.nearest_upsamplings,
    traits=_TRAITS,
    refusals=_refusals,
    twin=enlarging,
    departures=LARGE_NEAREST,
)

UPSAMPLING = Row(
    name="Upsampling",
    law=Multilinear(upsampled_conv2d),
    geometries=images.upsamplings,
    traits=_TRAITS | {Trait.LINEAR_IN_PARAMETERS},
    refusals=_refusals_before_convolution,
    twin=UpsampledConv2d,
    departures=STRIDED_SAME | LARGE_NEAREST | AXIS_ORDER,
)

FUSED_UPSAMPLING = Row(
    name="FusedUpsampling",
    law=Multilinear(fused),
    geometries=images.fused_upsamplings,
    traits=UPSAMPLING.traits,
    # It sums taps before they meet a pixel; its docstring says what becomes of infinities.
    clauses=UPSAMPLING.clauses - {Clause.NON_FINITE},
    refusals=_refusals_when_fused,
    twin=UpsampledConv2d,
    departures=AXIS_ORDER,
)

ROWS = (NEAREST_UPSAMPLING, UPSAMPLING, FUSED_UPSAMPLING)
