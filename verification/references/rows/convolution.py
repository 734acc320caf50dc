"""Rows of the convolutions over one to three axes. Source of the output size: torch.nn.Conv2d's
documentation, each axis with its own numbers.
"""

import functools
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from verification.references.laws.law import Multilinear, Tensors
from verification.references.row import Clause, Refusal, Row, Trait
from verification.strategies import refusals
from verification.strategies.drawing import SearchStrategy
from verification.strategies.geometries import images
from verification.strategies.geometry import per_axis

CORRELATE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
"""torch's functions, by the number of axes that a kernel slides over."""


def correlation(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """Cross-correlation as torch has it; 'same' is padded explicitly, so that it takes a stride."""
    x, padding, dims = tensors["input"], arguments["padding"], tensors["input"].ndim - 2
    if padding == "same":
        x, padding = _pad_same(x, arguments), 0
    return CORRELATE[dims](
        x,
        tensors["weight"],
        tensors.get("bias"),
        arguments["stride"],
        padding,
        arguments["dilation"],
        arguments["groups"],
    )


def transposed_correlation(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """The transpose of cross-correlation as torch has it."""
    return TRANSPOSE[tensors["input"].ndim - 2](
        tensors["input"],
        tensors["weight"],
        tensors.get("bias"),
        arguments["stride"],
        arguments["padding"],
        arguments["output_padding"],
        arguments["groups"],
        arguments["dilation"],
    )


def _pad_same(x: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """Pad so that a stride of 1 would keep the size; an odd total puts the extra row or column
    last.
    """
    amounts: list[int] = []
    windows = (per_axis(arguments[name], x.ndim - 2) for name in ("kernel_size", "dilation"))
    for kernel, dilation in zip(*windows, strict=True):
        total = dilation * (kernel - 1)
        amounts = [total // 2, total - total // 2, *amounts]
    return F.pad(x, amounts)


_TRAITS = frozenset(
    {
        Trait.LINEAR_IN_INPUT,
        Trait.LINEAR_IN_PARAMETERS,
        Trait.BATCHED,
        Trait.DIFFERENTIABLE,
        Trait.RESIZABLE,
    }
)

WINDOW_ARGUMENTS = {
    "in_channels": refusals.COUNT,
    "out_channels": refusals.COUNT,
    "groups": refusals.COUNT,
    "kernel_size": refusals.SIZES,
    "stride": refusals.SIZES,
    "dilation": refusals.SIZES,
    "bias": refusals.FLAG,
}
"""What the arguments that all convolutions share must not be."""


def _refusals() -> SearchStrategy[Refusal]:
    draw, table = images.convolutions, WINDOW_ARGUMENTS | {"padding": refusals.NAMED_AMOUNTS}
    return refusals.mistakes(
        draw,
        table,
        refusals.undivided_channels(draw),
        refusals.bad_images(draw),
        refusals.too_large_kernels(draw),
    )


def _transposed_refusals() -> SearchStrategy[Refusal]:
    draw = images.transposed_convolutions
    amounts = {"padding": refusals.AMOUNTS, "output_padding": refusals.AMOUNTS}
    return refusals.mistakes(
        draw,
        WINDOW_ARGUMENTS | amounts,
        refusals.undivided_channels(draw),
        refusals.too_much_output_padding(draw),
        refusals.bad_images(draw),
        refusals.nothing_left(draw),
    )


STRIDED_SAME = {Clause.STRIDED_SAME: "torch.nn.Conv2d refuses padding='same' with a stride"}
AXIS_ORDER = {
    Clause.AXIS_ORDER: "float32 convolutions are wrong on some channels_last tensors on the CPU"
}
PADDED_INFINITY = {
    Clause.NON_FINITE: "whether infinity meets a zero of the padding differs between kernels"
}

WIDE_PADDING = {
    Clause.WIDE_PADDING: "the weight gradient reads and writes beside its tensors, in float32"
}

CONV2D = Row(
    name="Conv2d",
    law=Multilinear(correlation),
    geometries=images.convolutions,
    traits=_TRAITS,
    refusals=_refusals,
    twin=nn.Conv2d,
    departures=STRIDED_SAME | AXIS_ORDER,
)

CONV_TRANSPOSE2D = Row(
    name="ConvTranspose2d",
    law=Multilinear(transposed_correlation),
    geometries=images.transposed_convolutions,
    traits=_TRAITS,
    refusals=_transposed_refusals,
    twin=nn.ConvTranspose2d,
    departures=AXIS_ORDER | PADDED_INFINITY,
)


def _over(dims: int) -> tuple[Row, Row]:
    """The rows of both convolutions over another number of axes; no shipped layer refuses uses."""
    plain = Row(
        name=f"Conv{dims}d",
        law=Multilinear(correlation),
        geometries=functools.partial(images.convolutions, dims=dims),
        traits=_TRAITS,
        twin=getattr(nn, f"Conv{dims}d"),
        departures=CONV2D.departures,
    )
    transposed = Row(
        name=f"ConvTranspose{dims}d",
        law=Multilinear(transposed_correlation),
        geometries=functools.partial(images.transposed_convolutions, dims=dims),
        traits=_TRAITS,
        twin=getattr(nn, f"ConvTranspose{dims}d"),
        departures={**CONV_TRANSPOSE2D.departures, **(WIDE_PADDING if dims == 3 else {})},
    )
    return plain, transposed


ROWS = (CONV2D, CONV_TRANSPOSE2D, *_over(1), *_over(3))
