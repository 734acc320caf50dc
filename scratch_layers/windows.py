"""im2col, a chunk at a time: the windows of a picture as matrices, planned once for each shape.

The source is laid on a ground of zeros, some samples at a time, so that windows of any start, step
and stride are views of the ground, whatever the source's own layout; a chunk's windows are copied
from there into one matrix, the samples side by side, and multiplied.
"""

import threading
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from scratch_layers.checks import working_dtype

CHUNK_BYTES = 1 << 22
"""Windows are written and multiplied about this much at a time, so that memory stays bounded. Half
of it costs 13 % at 16 and 32 channels of 32 x 32; 5 MB gain 2 to 5 % and need 0.4 inputs more."""
ACCELERATOR_CHUNK_BYTES = 1 << 28
"""An accelerator launches kernels one by one, and has memory enough for more."""
PLANS_KEPT = 64
"""A network of ten layers has fewer shapes at a time; with the largest memory of each, 64 MB."""
PLAN_BYTES = 1 << 20

_kept = threading.local()


class Along(NamedTuple):
    """Windows along one axis: tap t of position i lies at start + step t + stride i."""

    start: int
    step: int
    taps: int
    stride: int
    positions: int

    def end(self) -> int:
        """One beyond the last tap of the last window."""
        return self.start + self.step * (self.taps - 1) + self.stride * (self.positions - 1) + 1


Area = tuple[Along, Along]


class Chunk(NamedTuple):
    """A matrix of windows, (G, C/G th tw, n lines columns + spare), and what they are windows of:
    which area, samples and lines of positions.
    """

    area: int
    samples: slice
    lines: slice
    matrix: Tensor


Block = tuple[int, slice, Tensor, Tensor, Tensor]
"""An area, some of its lines, their windows (C, th, tw, n, lines, columns) on the ground, memory of
that shape, and the same memory as the matrix of a Chunk."""


class Windows:
    """The plan for sources of one shape: a ground, and blocks for each of some areas of windows."""

    def __init__(self, source: Tensor, areas: tuple[Area, ...], groups: int, limit: int) -> None:
        batch, channels, *size = source.shape
        dtype = working_dtype(source.dtype)
        self.limit, self.groups = limit // dtype.itemsize, groups
        largest = channels * max(r.taps * c.taps * r.positions * c.positions for r, c in areas)
        chunks = max(1, -(-batch // max(1, self.limit // max(1, largest))))
        self.samples = max(1, -(-batch // chunks))
        axes = list(zip(*areas, strict=True))
        self.starts = [min(0, *(along.start for along in axis)) for axis in axes]
        ends = [max(n, *(a.end() for a in axis)) for n, axis in zip(size, axes, strict=True)]
        extents = [end - start for start, end in zip(self.starts, ends, strict=True)]
        self.ground = source.new_zeros((self.samples, channels, *extents), dtype=dtype)
        self.bytes = self.ground.nbytes
        inside = [slice(-start, n - start) for start, n in zip(self.starts, size, strict=True)]
        self.inside = self.ground[:, :, *inside]
        self.blocks = {
            count: [
                block for i, area in enumerate(areas) for block in self._blocks(count, i, *area)
            ]
            for count in (self.samples, batch % self.samples)
        }

    @classmethod
    def of(cls, source: Tensor, areas: tuple[Area, ...], groups: int) -> "Windows":
        """This thread's plan for the shape, made at the first call.

        Planning takes 30 us, and more with the phases of a stride; memory of this size, were it not
        kept, would come from the system page by page and return to it after every call, which took
        0.3 of the 1.1 ms of a backward of 8 channels. No call runs inside another on a thread. A
        plan is no tensor of inference mode, which could not be written to outside it.
        """
        if source.device.type != "cpu":
            return cls(source, areas, groups, ACCELERATOR_CHUNK_BYTES)
        plans: dict[object, Windows] = _kept.__dict__.setdefault("plans", {})
        key = (source.shape, source.dtype, areas, groups, CHUNK_BYTES)
        plan = plans.get(key)
        if plan is None:
            with torch.inference_mode(False):
                plan = cls(source, areas, groups, CHUNK_BYTES)
            if plan.bytes <= PLAN_BYTES:
                if len(plans) == PLANS_KEPT:
                    plans.clear()
                plans[key] = plan
        return plan

    def chunks(self, source: Tensor) -> Iterator[Chunk]:
        """im2col of the source. The next matrix is written over the last."""
        batch, whole = source.shape[0], self.samples
        for first in range(0, max(1, batch), whole):
            samples = slice(first, min(first + whole, batch))
            count = samples.stop - first
            inside = self.inside if count == whole else self.inside[:count]
            inside.copy_(source if count == batch else source[samples])
            for area, lines, windows, target, matrix in self.blocks[count]:
                target.copy_(windows)
                yield Chunk(area, samples, lines, matrix)

    def _blocks(self, samples: int, area: int, rows: Along, columns: Along) -> Iterator[Block]:
        """An area of some samples. The last lines, if fewer, get a matrix as wide as the others."""
        (n, c, h, w), channels = self.ground.stride(), self.ground.shape[1]
        windows = self.ground.as_strided(
            (channels, rows.taps, columns.taps, samples, rows.positions, columns.positions),
            (c, h * rows.step, w * columns.step, n, h * rows.stride, w * columns.stride),
            (rows.start - self.starts[0]) * h + (columns.start - self.starts[1]) * w,
        )
        height, across = channels * rows.taps * columns.taps, columns.positions
        blocks = -(-rows.positions // max(1, self.limit // max(1, height * across)))
        lines = -(-rows.positions // blocks)
        width = _width(samples * lines * across)
        memory = self._shared(height * width)
        matrix = memory.view(self.groups, height // self.groups, width)
        steps = rows.taps * columns.taps * width, columns.taps * width, width, lines * across
        for top in range(0, rows.positions, lines):
            some = windows[..., top : top + lines, :]
            target = memory.as_strided(some.shape, (*steps, across, 1))
            yield area, slice(top, top + some.shape[4]), some, target, matrix

    def _shared(self, numbers: int) -> Tensor:
        """Memory that all plans of this thread write their windows to, one after the other.

        A row of 1,024 numbers has 16 to spare; only a single line may be longer than a chunk.
        """
        size, name = 65 * (CHUNK_BYTES // 64) // self.ground.itemsize, str(self.ground.dtype)
        if self.ground.device.type != "cpu" or numbers > size:
            self.bytes += numbers * self.ground.itemsize
            return self.ground.new_empty(numbers)
        shared: Tensor | None = getattr(_kept, name, None)
        if shared is None or shared.numel() < size:
            shared = self.ground.new_empty(size)
            setattr(_kept, name, shared)
        return shared[:numbers]


def _width(used: int) -> int:
    """A row length that keeps rows from falling into the same lines of the cache.

    Rows of 1,024 float32 lie 4 KB apart. With 16 spare numbers the product 16 x 144 x 3,072 runs at
    199 GFLOP/s instead of 164, and 8 x 72 x 3,072 of float64 at 43 instead of 33. Rows are dense,
    spare numbers included, since a product of rows with gaps in between would copy them.
    """
    return used + 16 if used >= 1024 and used % 128 == 0 else used
