"""Refusals of bad arguments and bad inputs, in one place so that their messages read alike.

A wrong type is a `TypeError`, a wrong value, shape, dtype or device a `ValueError`. Every message
names the argument and its value, then what is allowed, and the way out where there is one.
"""

import math
import operator
from collections.abc import Callable
from functools import cache
from numbers import Real
from typing import TypeVar

import torch
from torch import Tensor

Pair = tuple[int, int]
Number = TypeVar("Number")
Device = torch.device | str | int | None


def whole_number(name: str, value: object, minimum: int) -> int:
    """`value` as an int that is at least `minimum`. A bool or a float is not an int here."""
    try:
        if isinstance(value, bool | Tensor):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{name} is {value!r}, a {type(value).__name__}; it must be an int >= {minimum}"
        ) from None
    if number < minimum:
        raise ValueError(f"{name} is {number}; it must be an int >= {minimum}")
    return number


def whole_pair(name: str, value: object, minimum: int) -> Pair:
    """One int for both axes, or a pair (height, width), as a pair."""
    return _pair(name, value, f"int >= {minimum}", lambda n, v: whole_number(n, v, minimum))


def real_number(name: str, value: object, *, zero_allowed: bool) -> float:
    """`value` as a finite float > 0, or >= 0."""
    allowed = "a finite int or float " + (">= 0" if zero_allowed else "> 0")
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}, a {type(value).__name__}; it must be {allowed}")
    number = float(value)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero_allowed):
        raise ValueError(f"{name} is {value!r}; it must be {allowed}")
    return number


def real_pair(name: str, value: object) -> tuple[float, float]:
    """One number > 0 for both axes, or a pair (height, width), as a pair."""
    return _pair(name, value, "number > 0", lambda n, v: real_number(n, v, zero_allowed=False))


def _pair(
    name: str, value: object, kind: str, check: Callable[[str, object], Number]
) -> tuple[Number, Number]:
    if not isinstance(value, tuple | list):
        number = check(name, value)
        return number, number
    if len(value) != 2:
        raise ValueError(
            f"{name} is {value!r}, of length {len(value)}; "
            f"it must be one {kind} or a pair (height, width) of them"
        )
    return check(f"{name}[0]", value[0]), check(f"{name}[1]", value[1])


def flag(name: str, value: object) -> bool:
    """`value` if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; it must be True or False")
    return value


def floating_dtype(dtype: object) -> torch.dtype:
    """A floating-point dtype; None stands for torch's default dtype."""
    if dtype is None:
        return torch.get_default_dtype()
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype is {dtype!r}; it must be a torch.dtype such as torch.float32")
    if not dtype.is_floating_point:
        raise ValueError(f"dtype is {dtype}; it must be a floating-point dtype")
    return dtype


def floating_tensor(name: str, value: object) -> Tensor:
    """`value` if it is a dense tensor of a floating dtype."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}; it must be a torch.Tensor")
    if not value.is_floating_point():
        raise ValueError(
            f"{name} has dtype {value.dtype}; it must be floating-point: "
            f"convert it with {name}.to(dtype)"
        )
    if value.layout is not torch.strided:
        raise ValueError(
            f"{name} has layout {value.layout}; it must be torch.strided: "
            f"convert it with {name}.to_dense()"
        )
    return value


def image_batch(name: str, value: object, channels: int | None = None) -> Tensor:
    """A tensor (N, C, H, W) with `channels` channels (any number if None); only N may be 0."""
    batch = floating_tensor(name, value)
    shape = tuple(batch.shape)
    if len(shape) != 4:
        raise ValueError(
            f"{name} has shape {shape}; it must have four axes (batch, channels, height, width): "
            f"{name}.unsqueeze(0) adds the batch axis to one image"
        )
    if channels is not None and shape[1] != channels:
        raise ValueError(
            f"{name} has shape {shape}, so {shape[1]} channels; this layer takes {channels}"
        )
    if 0 in shape[1:]:
        raise ValueError(
            f"{name} has shape {shape}; only the batch axis may be empty, "
            "channels, height and width must be at least 1"
        )
    return batch


def same_kind(name: str, tensor: Tensor, other_name: str, other: Tensor, remedy: str) -> None:
    """Refuse two tensors that differ in dtype or device; nothing is converted silently."""
    for kind in ("dtype", "device"):
        one, two = getattr(tensor, kind), getattr(other, kind)
        if one != two:
            raise ValueError(
                f"{name} has {kind} {one} and {other_name} {two}; they must agree: {remedy}"
            )


def same_shape(name: str, tensor: Tensor, shape: torch.Size, why: str) -> None:
    """Refuse a tensor of another shape; `why` ends the sentence "it must be (2, 3), ..."."""
    if tensor.shape != shape:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}; it must be {tuple(shape)}, {why}"
        )


def writable(name: str, tensor: Tensor) -> None:
    """Refuse a tensor that cannot be written to because some of its elements are one number."""
    if any(
        size > 1 and step == 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True)
    ):
        raise ValueError(
            f"{name} is expanded: shape {tuple(tensor.shape)}, strides {tensor.stride()}, "
            "so elements share memory; to be written to it must not: rebind it to its clone()"
        )


@cache
def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in: at least float32, so that 16-bit results are rounded only once."""
    return torch.promote_types(dtype, torch.float32)
