"""Lines through a point: along single entries of a tensor, or along random directions.

A wrong gradient is off by a vector e != 0. A direction of independent integers, uniform on 2^b
values, has e . d = 0 with probability at most 2^-b: whatever the other entries are, an entry with
e_i != 0 has at most one value of 2^b that makes the sum vanish (J. Schwartz 1980, R. Zippel 1979).
K directions miss it with probability at most 2^-bK. The integers lie between 2^(b-1) and 2^b in
size: none is 0, so a single wrong entry never escapes, and none is small beside the others, whose
rounding it would hide in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gradcheck.differences.evaluation import as_double
from gradcheck.rounding import significand_bits

_HALF = torch.tensor(0.5, dtype=torch.float64)


@dataclass(frozen=True)
class Lines:
    """Directions in the space of one tensor of the given shape, largest absolute value 1.

    ``entries`` are flat indices, for one unit vector each; otherwise ``dense`` is [L, *shape].
    """

    shape: torch.Size
    dtype: torch.dtype
    entries: Tensor
    dense: Tensor | None = None

    def __len__(self) -> int:
        return len(self.entries) if self.dense is None else len(self.dense)

    def parts(self, rows: int) -> Iterator["Lines"]:
        """At most so many lines at a time."""
        for start in range(0, len(self), rows):
            yield self.where(slice(start, start + rows))

    def products(self, vectors: Tensor) -> Tensor:
        """Products of flat ``vectors`` [V, N] with every direction: [V, L] float64."""
        if self.dense is None:
            return vectors[:, self.entries]
        return vectors @ as_double(self.dense).reshape(len(self), -1).T

    def norms(self, vectors: Tensor) -> Tensor:
        """The root of the sum of v_i^2 over the entries that move along every line, [V, L]."""
        if self.dense is None:
            return vectors[:, self.entries].abs()
        whole: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        return whole.expand(-1, len(self))

    @property
    def directions(self) -> Tensor:
        """The directions [L, *shape]."""
        if self.dense is not None:
            return self.dense
        units = torch.zeros(len(self.entries), self.shape.numel(), dtype=self.dtype)
        units[torch.arange(len(self.entries)), self.entries] = 1
        return units.reshape(len(self.entries), *self.shape)

    def where(self, chosen: Tensor | slice) -> "Lines":
        """The ``chosen`` lines: by [L] of bool, by their numbers, or a slice."""
        if self.dense is None:
            return Lines(self.shape, self.dtype, self.entries[chosen])
        return Lines(self.shape, self.dtype, self.entries, self.dense[chosen])

    def label(self, line: int) -> tuple[int, ...] | None:
        """The entry that a line belongs to; None for a dense direction."""
        if self.dense is not None:
            return None
        place = torch.unravel_index(self.entries[line], self.shape)
        return tuple(int(index) for index in place)


def along_entries(tensor: Tensor, entries: Tensor | None = None) -> Lines:
    """One line for each of ``entries`` (flat indices), by default for every entry."""
    chosen = torch.arange(tensor.numel()) if entries is None else entries
    return Lines(tensor.shape, tensor.dtype, chosen)


def along(directions: Tensor) -> Lines:
    """Lines along ``directions`` [L, *shape]."""
    nothing = torch.arange(0)
    return Lines(directions.shape[1:], directions.dtype, nothing, directions)


def random_lines(tensor: Tensor, generator: torch.Generator) -> Lines:
    """K random directions: integers over the largest, so that every step is a short number."""
    bits, count = bits_and_count(tensor.dtype)
    return along(_fractions((count, *tensor.shape), bits, tensor, generator))


def random_line(tensor: Tensor, generator: torch.Generator) -> Lines:
    """One random line, of as many bits as the dtype has room for (``line_bits``)."""
    drawn = torch.rand((1, *tensor.shape), dtype=torch.float64, generator=generator).sub_(0.5)
    return along(drawn.add_(torch.copysign(_HALF, drawn)).to(tensor))


def line_bits(dtype: torch.dtype) -> int:
    """Bits of a ``random_line``: numbers between 1/2 and 1 have one bit less than they show."""
    return significand_bits(dtype) - 1


def _fractions(
    shape: tuple[int, ...], bits: int, like: Tensor, generator: torch.Generator
) -> Tensor:
    return signed_integers(shape, bits, generator).div(2**bits).to(like)


def miss_probability(bits: int, count: int) -> float:
    """How often, at most, an error is orthogonal to ``count`` directions of ``bits``."""
    return 2.0 ** (-bits * count)


def signed_integers(shape: tuple[int, ...], bits: int, generator: torch.Generator) -> Tensor:
    """Independent integers, uniform on +-{2^(bits-1) + 1, ..., 2^bits}, as float64."""
    half = 2 ** (bits - 1)
    drawn = torch.randint(-half, half, shape, generator=generator, dtype=torch.float64).add_(_HALF)
    return drawn.add_(torch.copysign(_HALF, drawn), alpha=2 * half + 1)  # away from 0


def bits_and_count(dtype: torch.dtype) -> tuple[int, int]:
    """Bits and number of ``random_lines``.

    As many bits as x + t d has room for; K such that a wrong gradient is missed once in 2^28.
    """
    return (15, 2) if significand_bits(dtype) > significand_bits(torch.float32) else (7, 4)
