"""Rows of the convolutions. Source of the output size: torch.nn.Conv2d's documentation, each axis
with its own numbers.
"""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from verification.references.laws import Multilinear, Tensors
from verification.references.row import Clause, Refusal, Row, Trait
from verification.strategies import images, refusals
from verification.strategies.geometry import per_axis


def conv2d(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """Cross-correlation as torch has it; 'same' is padded explicitly, so that it takes a stride."""
    x, padding = tensors["input"], arguments["padding"]
    if padding == "same":
        x, padding = _pad_same(x, arguments), 0
    return F.conv2d(
        x,
        tensors["weight"],
        tensors.get("bias"),
        arguments["stride"],
        padding,
        arguments["dilation"],
        arguments["groups"],
    )


def conv_transpose2d(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """The transpose of cross-correlation as torch has it."""
    return F.conv_transpose2d(
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
    for kernel, dilation in zip(
        per_axis(arguments["kernel_size"]), per_axis(arguments["dilation"]), strict=True
    ):
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
    return refusals.half_arguments(
        refusals.bad_arguments(draw, table),
        refusals.undivided_channels(draw),
        refusals.bad_images(draw),
        refusals.too_large_kernels(draw),
    )


def _transposed_refusals() -> SearchStrategy[Refusal]:
    draw = images.transposed_convolutions
    amounts = {"padding": refusals.AMOUNTS, "output_padding": refusals.AMOUNTS}
    return refusals.half_arguments(
        refusals.bad_arguments(draw, WINDOW_ARGUMENTS | amounts),
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

CONV2D = Row(
    name="Conv2d",
    law=Multilinear(conv2d),
    geometries=images.convolutions,
    traits=_TRAITS,
    refusals=_refusals,
    twin=nn.Conv2d,
    departures=STRIDED_SAME | AXIS_ORDER,
)

CONV_TRANSPOSE2D = Row(
    name="ConvTranspose2d",
    law=Multilinear(conv_transpose2d),
    geometries=images.transposed_convolutions,
    traits=_TRAITS,
    refusals=_transposed_refusals,
    twin=nn.ConvTranspose2d,
    departures=AXIS_ORDER | PADDED_INFINITY,
)

ROWS = (CONV2D, CONV_TRANSPOSE2D)
