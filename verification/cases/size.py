"""How large a case's tensors can become, told from its numbers alone: before anything is built."""

import math
from collections.abc import Mapping
from typing import Any

from verification.cases.case import Case, Role


def largest_tensor(case: Case) -> float:
    """An upper bound, in elements, of every tensor that the case gives, makes or yields.

    Arguments are known by their names, whatever the layer: a picture grows by its scale, stride,
    padding and dilated kernel, and a weight has its channels times the kernel.
    """
    specs = [*case.tensors, *(spec for call in case.calls for spec in call.tensors)]
    shapes = [spec.shape for spec in specs if spec.shape is not None]
    largest = max((math.prod(shape) for shape in shapes), default=0)
    inputs = [spec.shape for spec in case.of_role(Role.INPUT) if spec.shape is not None]
    picture = next((shape for shape in inputs if len(shape) == 4), None)
    batch, sizes = (
        (1.0, [1.0, 1.0]) if picture is None else (picture[0], [*map(float, picture[2:])])
    )
    bound = float(largest)
    for call in case.layer.walk():
        arguments = call.kwargs
        channels = [_number(arguments, name, 1) for name in ("in_channels", "out_channels")]
        sizes = [_grown(arguments, axis, size) for axis, size in enumerate(sizes)]
        kernel = math.prod(_number(arguments, "kernel_size", axis) for axis in range(2))
        several = max(channels) if picture is None else max(*channels, picture[1])
        bound = max(bound, math.prod(channels) * kernel, batch * several * math.prod(sizes))
    return bound


def _grown(arguments: Mapping[str, Any], axis: int, size: float) -> float:
    size *= _number(arguments, "scale_factor", axis) * _number(arguments, "stride", axis)
    size += _number(arguments, "kernel_size", axis) * _number(arguments, "dilation", axis)
    return size + 2 * (
        _number(arguments, "padding", axis) + _number(arguments, "output_padding", axis)
    )


def _number(arguments: Mapping[str, Any], name: str, axis: int) -> float:
    """An argument's size along one axis; 1 where it is none that counts."""
    value = arguments.get(name, 1)
    if isinstance(value, tuple):
        value = value[axis] if axis < len(value) else 1
    return max(1.0, abs(float(value))) if isinstance(value, (int, float)) else 1.0
