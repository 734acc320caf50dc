"""Rows of the pooling layers. Sources: the formulas of torch.nn.MaxPool2d's, AvgPool2d's and
AdaptiveAvgPool2d's documentation, each axis with its own numbers.
"""

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import INPUT, Enclosures, Tensors
from verification.references.laws.selecting import Selecting
from verification.references.laws.weighted import Weighted
from verification.references.row import Clause, Row, Trait
from verification.strategies.geometries import pooling
from verification.strategies.geometry import Shape, per_axis

Span = tuple[int, int]
"""Where a window starts on an axis, and the first place after it."""

Spans = tuple[tuple[Span, ...], ...]
"""All windows of each axis."""

DIVISOR = "1 / divisor"


# Of equal maxima the first counts, in row-major order, and NaN is greater than all: as torch has
# it.


def _highest(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """Where the maximum of every window stands in the flattened image."""
    x = tensors[INPUT]
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[x.ndim - 2]
    places: Tensor = pool(x, **arguments, return_indices=True)[1]
    return places


def _highest_of_parts(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    x = tensors[INPUT]
    pool = {
        1: F.adaptive_max_pool1d,
        2: F.adaptive_max_pool2d,
        3: F.adaptive_max_pool3d,
    }[x.ndim - 2]
    places: Tensor = pool(x, arguments["output_size"], return_indices=True)[1]
    return places


def _at(_: Mapping[str, Any], tensors: Tensors, places: Tensor) -> Tensor:
    return tensors[INPUT].flatten(2).gather(2, places.flatten(2)).reshape(places.shape)


def padded_spans(arguments: Mapping[str, Any], shape: Shape) -> Spans:
    """The windows of every axis, which may begin before 0 and end in the padding behind the image.

    There are floor((n + 2 padding - kernel) / stride) + 1 of them; with ceil_mode the quotient is
    rounded up, but no window begins in the padding behind the image.
    """
    dims = len(shape) - 2
    kernel = arguments["kernel_size"]
    stride = kernel if arguments["stride"] is None else arguments["stride"]
    each = (per_axis(amount, dims) for amount in (kernel, stride, arguments["padding"]))
    spans = []
    for n, k, s, p in zip(shape[2:], *each, strict=True):
        steps = (n + 2 * p - k) / s
        last = math.ceil(steps) if arguments["ceil_mode"] else math.floor(steps)
        starts = (i * s - p for i in range(last + 1) if i * s - p < n)
        spans.append(tuple((start, min(start + k, n + p)) for start in starts))
    return tuple(spans)


def part_spans(arguments: Mapping[str, Any], shape: Shape) -> Spans:
    """Part i of m covers the pixels from floor(i n / m) to ceil((i + 1) n / m)."""
    sizes = shape[2:]
    wanted = per_axis(arguments["output_size"], len(sizes))
    parts = (n if m is None else m for n, m in zip(sizes, wanted, strict=True))
    return tuple(
        tuple((i * n // m, -(-(i + 1) * n // m)) for i in range(m))
        for n, m in zip(sizes, parts, strict=True)
    )


def _inside(spans: Spans, shape: Shape) -> Spans:
    """The parts of the windows that lie in the image."""
    return tuple(
        tuple((max(0, start), min(n, end)) for start, end in each)
        for each, n in zip(spans, shape[2:], strict=True)
    )


def _areas(spans: Spans) -> Tensor:
    """How many places each window covers, as (1, 1, sizes of the output)."""
    areas = torch.ones(1, 1, dtype=torch.float64)
    for each in spans:
        lengths = torch.tensor([end - start for start, end in each], dtype=torch.float64)
        areas = areas.unsqueeze(-1) * lengths
    return areas


def _sums(x: Tensor, spans: Spans) -> Tensor:
    """The sum over every window that lies in the image."""
    for axis, each in enumerate(spans, start=2):
        x = torch.stack([x.narrow(axis, a, b - a).sum(axis) for a, b in each], axis)
    return x


def _means(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    x = tensors[INPUT]
    spans = _spans(arguments, tuple(x.shape))
    return _sums(x, _inside(spans, tuple(x.shape))) * tensors[DIVISOR]


def _spans(arguments: Mapping[str, Any], shape: Shape) -> Spans:
    return (part_spans if "output_size" in arguments else padded_spans)(arguments, shape)


def _divisors(arguments: Mapping[str, Any], shape: Shape, precision: Precision) -> Enclosures:
    """What each sum is divided by: the padding counts unless it was asked not to."""
    spans = _spans(arguments, shape)
    if not arguments.get("count_include_pad", False):
        spans = _inside(spans, shape)
    override = arguments.get("divisor_override")
    divisors = _areas(spans) if override is None else torch.full_like(_areas(spans), override)
    value = 1 / divisors
    # A reciprocal rounds once, unless its divisor is a power of two; so does a division instead.
    rounds = divisors.frexp().mantissa.abs() != 0.5
    error = torch.where(rounds, precision.gamma(1) * value.abs(), 0.0)
    return {DIVISOR: Enclosure(value, error, value.abs(), exact=False)}


_TRAITS = frozenset({Trait.BATCHED, Trait.DIFFERENTIABLE, Trait.RESIZABLE})


_LOST_SLICE = {
    Clause.NON_FINITE: "in channels_last_3d a maximum of minus infinity is looked for in slice 0"
}


def _max_pool(dims: int) -> Row:
    return Row(
        name=f"MaxPool{dims}d",
        law=Selecting(_highest, _at),
        geometries=functools.partial(pooling.max_poolings, dims=dims),
        traits=_TRAITS,
        twin=getattr(nn, f"MaxPool{dims}d"),
        departures=_LOST_SLICE if dims == 3 else {},
    )


_OVER_THREE_AXES = {
    Clause.SMALL_IMAGE: "AvgPool3d refuses an image smaller than its kernel, padded or not",
    Clause.SIXTEEN_BITS: "AvgPool3d has no float16 on the CPU",
}


def _average_pool(dims: int) -> Row:
    return Row(
        name=f"AvgPool{dims}d",
        law=Weighted(_means, _divisors),
        geometries=functools.partial(pooling.average_poolings, dims=dims),
        traits=_TRAITS | {Trait.LINEAR_IN_INPUT},
        twin=getattr(nn, f"AvgPool{dims}d"),
        departures=_OVER_THREE_AXES if dims == 3 else {},
    )


def _adaptive_max_pool(dims: int) -> Row:
    return Row(
        name=f"AdaptiveMaxPool{dims}d",
        law=Selecting(_highest_of_parts, _at),
        geometries=functools.partial(pooling.adaptive_poolings, kind="AdaptiveMaxPool", dims=dims),
        traits=_TRAITS,
        twin=getattr(nn, f"AdaptiveMaxPool{dims}d"),
    )


def _adaptive_average_pool(dims: int) -> Row:
    return Row(
        name=f"AdaptiveAvgPool{dims}d",
        law=Weighted(_means, _divisors),
        geometries=functools.partial(pooling.adaptive_poolings, kind="AdaptiveAvgPool", dims=dims),
        traits=_TRAITS | {Trait.LINEAR_IN_INPUT},
        twin=getattr(nn, f"AdaptiveAvgPool{dims}d"),
    )


_KINDS = (_max_pool, _average_pool, _adaptive_max_pool, _adaptive_average_pool)

ROWS = tuple(kind(dims) for kind, dims in itertools.product(_KINDS, (2, 1, 3)))
