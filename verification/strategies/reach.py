"""Reach: which of the cells that a symmetric test never enters a Case is in.

Cells are told from argument names, shapes and layouts, so that any layer with a `stride` counts for
the stride's cells. A run reports the cells that it reached: in the others nothing was tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from verification.cases import Case, LayerCall, Role
from verification.strategies.geometry import Shape, per_axis

_IMAGE_AXES = 4
_LONG = 32
"""From this size on an axis is called long: indices computed in floating point go wrong there."""

_PLAIN = {"stride": 1, "dilation": 1, "padding": 0}
"""What a layer with a kernel has where it does not take these arguments."""


def cells(case: Case) -> frozenset[str]:
    """The names of the cells that the case is in, such as "stride leaves a remainder"; a use that
    must be refused is in none.
    """
    if case.option("error") is not None:
        return frozenset()
    found = set(_cells_of_tensors(case))
    for call in case.layer.walk():
        found.update(_cells_of_arguments(call))
    shape = case.of_role(Role.INPUT)[0].shape
    if shape:
        found.update(_cells_of_shape(shape))
        if len(shape) == _IMAGE_AXES:
            found.update(_cells_of_fit(case.layer, shape[2:]))
    return frozenset(found)


def _cells_of_tensors(case: Case) -> Iterator[str]:
    for spec in case.tensors:
        yield f"{spec.layout} {spec.role}"
        if spec.values.stored is None:
            yield f"{spec.values.family} values"


def _cells_of_shape(shape: Shape) -> Iterator[str]:
    samples = {0: "no sample", 1: "one sample"}
    yield samples.get(shape[0], "several samples")
    if max(shape) >= _LONG:
        yield "long axis"
    if len(shape) == _IMAGE_AXES:
        yield "one channel" if shape[1] == 1 else "several channels"
        if shape[2] != shape[3]:
            yield "height != width"
        if 1 in shape[2:]:
            yield "one pixel on an axis"


def _cells_of_arguments(call: LayerCall) -> Iterator[str]:
    arguments = call.kwargs
    for name, value in arguments.items():
        if isinstance(value, tuple) and len(set(value)) > 1:
            yield f"{name} differs per {'step' if name == 'lr' else 'axis'}"
    if arguments.get("bias") is False:
        yield "no bias"
    if arguments.get("momentum"):
        yield "momentum"
    if "reduction" in arguments:
        yield f"reduction {arguments['reduction']!r}"
    yield from _cells_of_groups(arguments.get("groups", 1), arguments.get("in_channels"))
    if "kernel_size" in arguments:
        yield from _cells_of_window(_window(arguments))
    if arguments.get("scale_factor") is not None:
        yield from _cells_of_scale(arguments["scale_factor"])
    if any(child.children for child in call.children):
        yield "container inside a container"
    if not call.children and not arguments and call.name == "Sequential":
        yield "empty container"


def _cells_of_groups(groups: int, channels: int | None) -> Iterator[str]:
    if groups > 1:
        yield "groups > 1"
        yield "depthwise" if groups == channels else "several channels a group"


def _window(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a layer with a kernel, those that it does not take or leaves open too."""
    stride = arguments.get("stride", _PLAIN["stride"])
    stride = arguments["kernel_size"] if stride is None else stride
    return _PLAIN | arguments | {"stride": stride}


def _axes(arguments: dict[str, Any]) -> int:
    """How many axes a window has: as many as its longest tuple, and two where none tells."""
    return max((len(value) for value in arguments.values() if isinstance(value, tuple)), default=2)


def _cells_of_window(arguments: dict[str, Any]) -> Iterator[str]:
    dims = _axes(arguments)
    kernel, stride, dilation = (
        per_axis(arguments[name], dims) for name in ("kernel_size", "stride", "dilation")
    )
    padding = arguments["padding"]
    if any(k > 1 and d > 1 for k, d in zip(kernel, dilation, strict=True)):
        yield "kernel > 1 pixel and dilated"
    if 1 in kernel:
        yield "kernel of 1 pixel on an axis"
    if any(s > k for s, k in zip(stride, kernel, strict=True)):
        yield "stride > kernel"
    if isinstance(padding, str):
        yield f"padding {padding!r}"
        if padding == "same" and max(stride) > 1:
            yield "padding 'same' with a stride"
        if padding == "same" and any(
            d * (k - 1) % 2 for k, d in zip(kernel, dilation, strict=True)
        ):
            yield "padding 'same' of an odd total"
    elif any(p >= k for p, k in zip(per_axis(padding, dims), kernel, strict=True)):
        yield "padding >= kernel"
    if any(per_axis(arguments.get("output_padding", 0), dims)):
        yield "output padding"


def _cells_of_scale(argument: float | tuple[float, ...]) -> Iterator[str]:
    factors = argument if isinstance(argument, tuple) else (argument,)
    if any(s < 1 for s in factors):
        yield "scale below 1"
    if any(s > 1 and s != int(s) for s in factors):
        yield "fractional scale above 1"
    if any(s == 1 for s in factors):
        yield "scale 1"
    if any(s > 1 and s == int(s) for s in factors):
        yield "integer scale above 1"


def _cells_of_fit(call: LayerCall, size: Shape) -> Iterator[str]:
    """How the kernel and stride of the outermost layer fit the image."""
    arguments = call.kwargs
    if arguments.get("scale_factor") is not None:
        scale = arguments["scale_factor"]
        factors = scale if isinstance(scale, tuple) else (scale, scale)
        products = [n * s for n, s in zip(size, factors, strict=True)]
        if any(product != int(product) for product in products):
            yield "scale leaves a remainder"
        size = tuple(math.floor(product) for product in products)
    if "kernel_size" not in arguments or "output_padding" in arguments:
        return
    arguments = _window(arguments)
    axes = zip(
        size,
        per_axis(arguments["kernel_size"]),
        per_axis(arguments["stride"]),
        per_axis(arguments["dilation"]),
        _both_sides(arguments),
        strict=True,
    )
    spare = [(n + p - d * (k - 1) - 1, s) for n, k, s, d, p in axes]
    if any(rest % s for rest, s in spare):
        yield "stride leaves a remainder"
    if all(rest < s for rest, s in spare):
        yield "one output pixel"
    if all(rest == 0 for rest, _ in spare):
        yield "kernel as large as the image"


def _both_sides(arguments: dict[str, Any]) -> Shape:
    """The padding of both sides together, of each axis."""
    padding = arguments["padding"]
    if padding == "valid":
        return 0, 0
    if padding == "same":
        both = zip(per_axis(arguments["kernel_size"]), per_axis(arguments["dilation"]), strict=True)
        return tuple(d * (k - 1) for k, d in both)
    return tuple(2 * p for p in per_axis(padding))
