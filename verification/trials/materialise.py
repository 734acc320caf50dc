"""Make a TensorSpec real: its elements from family and seed, laid out in guarded memory.

Every element comes from torch.randint on the CPU, so every machine makes the same inputs. Every
tensor stands inside a buffer of its own between canaries, whose bits are compared afterwards: a
write outside or inside is seen.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradcheck import rounding
from verification.cases import TensorSpec
from verification.strategies.descriptions import domains

MARGIN = 8
"""Canaries on each side of a tensor, in elements."""


@dataclass(frozen=True)
class Budget:
    """The largest integers that leave every sum exact: `balanced` for each tensor, `full` beside
    tensors of ±1.
    """

    balanced: int
    full: int

    @classmethod
    def of(cls, terms: int, degree: int, dtype: torch.dtype) -> Budget:
        """For sums of that many terms, each a product of `degree` tensors."""
        return cls(
            rounding.integer_amplitude(terms, dtype, degree),
            rounding.integer_amplitude(terms, dtype, 1),
        )


@dataclass(frozen=True)
class Placed:
    """A tensor in its guarded buffer, with the bits that the buffer held when it was made."""

    tensor: Tensor
    buffer: Tensor
    before: Tensor

    def intact(self) -> bool:
        """Whether neither the tensor nor the memory around it has been written to."""
        return torch.equal(_bits(self.buffer), self.before)

    def damage(self) -> str:
        """Where it has been written to: "" nowhere, "of" the tensor itself, "around" it."""
        if self.intact():
            return ""
        was = torch.empty_like(self.buffer)
        _bits(was).copy_(self.before)
        tensor = self.tensor
        elements = was.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        same = torch.equal(_bits(_packed(tensor)), _bits(_packed(elements)))
        return "around" if same else "of"


def materialise(
    spec: TensorSpec,
    shape: tuple[int, ...],
    budget: Callable[[], Budget],
    dtype: torch.dtype,
    device: torch.device,
) -> Placed:
    """The tensor of that spec: `shape` is the spec's own, or the one that its output supplies.

    `dtype` is the Case's; a domain of whole numbers or of truth values has its own. `budget` is
    asked for only by the families that use it: it takes the law two evaluations.
    """
    own = domains.parse(spec.domain).dtype or spec.dtype
    values = elements(spec, shape, budget, dtype)
    if not values.is_floating_point():  # as a user's own domain may draw them
        return place(values, spec.layout, values.dtype, device)
    return place(values, spec.layout, dtype if own is None else getattr(torch, own), device)


def elements(
    spec: TensorSpec, shape: tuple[int, ...], budget: Callable[[], Budget], dtype: torch.dtype
) -> Tensor:
    """The elements as a contiguous float64 tensor, members of the spec's domain, before they are
    laid out (and rounded to the dtype).
    """
    domain = domains.parse(spec.domain)
    domain.require_fits(shape)
    if spec.values.stored is not None:
        return domain.member(torch.tensor(spec.values.stored, dtype=torch.float64).reshape(shape))
    # The name is mixed in: two tensors of one seed must not hold the same numbers.
    generator = torch.Generator().manual_seed(spec.values.seed ^ zlib.crc32(spec.name.encode()))
    return domain.sample(FAMILIES[spec.values.family](_Source(shape, generator, budget, dtype)))


@dataclass(frozen=True)
class _Source:
    """What a family makes its elements from."""

    shape: tuple[int, ...]
    generator: torch.Generator
    budget: Callable[[], Budget]
    dtype: torch.dtype

    def integers(self, low: int, high: int) -> Tensor:
        """Integers from low to high, both included."""
        return torch.randint(low, high + 1, self.shape, generator=self.generator).double()

    def signed(self, largest: int) -> Tensor:
        """±{1 .. largest}: without zeros no dropped term can hide."""
        return self.integers(1, max(1, largest)) * (2 * self.integers(0, 1) - 1)

    def dense(self) -> Tensor:
        """Uniform in (-1, 1), every bit of the significand drawn."""
        return (self.integers(0, 2**53 - 1) + 0.5) / 2**52 - 1

    def one_in(self, count: int) -> Tensor:
        """A mask that keeps about one element in that many, and always one."""
        mask = self.integers(0, count - 1) == 0
        if mask.numel():
            mask.view(-1)[int(torch.randint(mask.numel(), (), generator=self.generator))] = True
        return mask.double()


def _ramp(source: _Source) -> Tensor:
    count = math.prod(source.shape)
    return torch.arange(1, count + 1, dtype=torch.float64).reshape(source.shape) / max(1, count)


def _special(source: _Source) -> Tensor:
    info = torch.finfo(source.dtype)
    values = torch.tensor(
        [math.nan, math.inf, -math.inf, 0.0, -0.0, info.smallest_normal / 2, -info.smallest_normal],
        dtype=torch.float64,
    )
    chosen = values[source.integers(0, len(values) - 1).long()]
    return torch.where(source.one_in(4) > 0, chosen, source.dense())


FAMILIES: dict[str, Callable[[_Source], Tensor]] = {
    "integers": lambda s: s.signed(s.budget().balanced),
    "units": lambda s: s.signed(1),
    "full": lambda s: s.signed(s.budget().full),
    "one_hot": lambda s: s.signed(s.budget().balanced) * s.one_in(2**31),
    "sparse_integers": lambda s: s.signed(s.budget().balanced) * s.one_in(4),
    "dense": _Source.dense,
    "hundreds": lambda s: 100 * s.dense(),
    "positive": lambda s: s.dense().abs(),
    "sparse": lambda s: s.dense() * s.one_in(4),
    "wide": lambda s: s.dense() * 2.0 ** s.integers(-12, 12),
    "loud": lambda s: s.dense() * (1 + s.one_in(4) * (2.0**27 - 1)),
    "ramp": _ramp,
    "constant": lambda s: s.dense().flatten()[:1].expand(math.prod(s.shape)).reshape(s.shape),
    "ties": lambda s: s.integers(-2, 2) / 2,
    "special": _special,
}


def place(values: Tensor, layout: str, dtype: torch.dtype, device: torch.device) -> Placed:
    """Lay values out in guarded memory; where a layout has stride 0, the first element is kept."""
    strides, offset = _strides(values.shape, layout)
    span = 1 + sum((size - 1) * step for size, step in zip(values.shape, strides, strict=True))
    length = 2 * MARGIN + offset + (span if values.numel() else 0)
    canary = math.nan if dtype.is_floating_point else 1
    buffer = torch.full((length,), canary, dtype=dtype, device=device)
    tensor = buffer.as_strided(values.shape, strides, MARGIN + offset)
    if values.numel():
        first = tuple(slice(0, 1) if step == 0 else slice(None) for step in strides)
        tensor[first] = values[first].to(device, dtype)
    return Placed(tensor, buffer, _bits(buffer).clone())


def _strides(shape: torch.Size, layout: str) -> tuple[tuple[int, ...], int]:
    """Strides and offset, in elements, of a layout; where an axis is missing the layout is the
    contiguous one.
    """
    dims = len(shape)
    order = list(range(dims))  # slowest axis first
    if layout == "channels_last" and dims >= 3:
        order = [0, *range(2, dims), 1]
    elif layout == "transposed" and dims >= 2:
        order[-2:] = [dims - 1, dims - 2]
    elif layout == "permuted":
        order.reverse()
    step = 2 if layout == "strided" else 1
    strides = [0] * dims
    for axis in reversed(order):
        strides[axis] = step
        step *= max(1, shape[axis])
    if layout == "broadcast":
        strides = [0] * dims
    elif layout == "expanded":
        repeated = next((axis for axis in range(dims) if shape[axis] > 1), None)
        if repeated is not None:
            strides[repeated] = 0
    return tuple(strides), 3 if layout == "offset" else 0


def _packed(tensor: Tensor) -> Tensor:
    # `contiguous` lets one element keep a stride of 0, as which it is not viewed as bytes.
    return tensor.reshape(-1).clone(memory_format=torch.contiguous_format)


def _bits(buffer: Tensor) -> Tensor:
    return buffer.contiguous().view(torch.uint8)
