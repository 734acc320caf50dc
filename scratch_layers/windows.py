"""im2col, a chunk at a time: the windows of a picture as matrices, planned once for each shape.

The source is laid on a ground of zeros, some samples at a time, so that windows of any start, step
and stride are views of the ground, whatever the source's own layout; a chunk's windows are copied
from there into one matrix a sample, and multiplied while they are in the cache.
"""

import threading
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from scratch_layers.checks import working_dtype

# Windows are written and multiplied about this much at a time, to stay in the cache in between.
# Half of it pays for more calls: 10 % at 8 channels of 32 x 32. Twice as much gains 5 % there and
# nothing at 64 channels.
CHUNK_BYTES = 1 << 21
# An accelerator launches kernels one by one and has no such cache; there it only bounds the memory.
ACCELERATOR_CHUNK_BYTES = 1 << 28
# A network of ten layers has fewer shapes at a time; with the largest memory of each, 64 MB.
PLANS_KEPT = 64
PLAN_BYTES = 1 << 20

_kept = threading.local()


class Along(NamedTuple):
    """Windows along one axis: tap t of position i lies at start + step t + stride i."""

    start: int
    step: int
    taps: int
    stride: int
    positions: int

    @property
    def end(self) -> int:
        """One beyond the last tap of the last window."""
        return self.start + self.step * (self.taps - 1) + self.stride * (self.positions - 1) + 1


Area = tuple[Along, Along]


class Block(NamedTuple):
    """Some lines of positions: their windows on the ground, and the matrices they are copied to.

    `windows` and `target` are (n, C, th, tw, lines, columns); `matrices`, (n G, C/G th tw, lines
    columns), are the same memory as `target`.
    """

    lines: slice
    windows: Tensor
    target: Tensor
    matrices: Tensor


class Windows:
    """The plan for sources of one shape: a ground, and blocks for each of some areas of windows."""

    def __init__(self, source: Tensor, areas: tuple[Area, ...], groups: int, limit: int) -> None:
        batch, channels, *size = source.shape
        dtype = working_dtype(source.dtype)
        self.limit, self.groups = limit // (channels * dtype.itemsize), groups
        largest = max(r.taps * c.taps * r.positions * c.positions for r, c in areas)
        self.samples = max(1, min(batch, self.limit // largest))
        self.starts: list[int] = []
        extents, self.seen, inside = [], list[slice](), []
        for axis, length in zip(zip(*areas, strict=True), size, strict=True):
            start, end = min(a.start for a in axis), max(a.end for a in axis)
            first = max(0, start)
            last = max(first, min(length, end))
            self.seen.append(slice(first, last))
            inside.append(slice(first - start, last - start))
            self.starts.append(start)
            extents.append(end - start)
        self.ground = source.new_zeros((self.samples, channels, *extents), dtype=dtype)
        self.bytes = self.ground.nbytes
        self.inside = self.ground[:, :, inside[0], inside[1]]
        self.blocks = [self._blocks(*area) for area in areas]

    @classmethod
    def of(cls, source: Tensor, areas: tuple[Area, ...], groups: int) -> "Windows":
        """This thread's plan for the shape, made at the first call.

        Planning takes 30 us, and more with the phases of a stride; memory of this size, were it not
        kept, would come from the system page by page and return to it after every call, which took
        0.3 of the 1.1 ms of a backward of 8 channels. No call runs inside another on a thread.
        """
        if source.device.type != "cpu":
            return cls(source, areas, groups, ACCELERATOR_CHUNK_BYTES)
        plans: dict[object, Windows] = _kept.__dict__.setdefault("plans", {})
        key = (source.shape, source.dtype, areas, groups, CHUNK_BYTES)
        plan = plans.get(key)
        if plan is None:
            # A tensor made in inference mode could not be written to outside it.
            with torch.inference_mode(False):
                plan = cls(source, areas, groups, CHUNK_BYTES)
            if plan.bytes <= PLAN_BYTES:
                if len(plans) == PLANS_KEPT:
                    plans.clear()
                plans[key] = plan
        return plan

    def lay(self, source: Tensor) -> Iterator[tuple[int, int]]:
        """Lay the samples on the ground, chunk by chunk, and say from which one and how many."""
        seen = source[:, :, self.seen[0], self.seen[1]]
        for first in range(0, source.shape[0], self.samples):
            count = min(self.samples, source.shape[0] - first)
            self.inside[:count].copy_(seen[first : first + count])
            yield first, count

    def _blocks(self, rows: Along, columns: Along) -> list[Block]:
        n, c, h, w = self.ground.stride()
        samples, channels = self.ground.shape[:2]
        windows = self.ground.as_strided(
            (samples, channels, rows.taps, columns.taps, rows.positions, columns.positions),
            (n, c, h * rows.step, w * columns.step, h * rows.stride, w * columns.stride),
            (rows.start - self.starts[0]) * h + (columns.start - self.starts[1]) * w,
        )
        taps = rows.taps * columns.taps
        lines = max(1, min(rows.positions, self.limit // (taps * columns.positions)))
        width = _off_4_kilobytes(lines * columns.positions)
        buffer = self._shared(samples * channels * taps * width).view(samples, -1, width)
        blocks = []
        for top in range(0, rows.positions, lines):
            chunk = windows[:, :, :, :, top : top + lines]
            matrices = buffer[:, :, : chunk.shape[4] * columns.positions]
            by_group = matrices.view(samples * self.groups, -1, matrices.shape[2])
            block = Block(slice(top, top + lines), chunk, matrices.view(chunk.shape), by_group)
            blocks.append(block)
        return blocks

    def _shared(self, numbers: int) -> Tensor:
        """Memory that all plans of this thread write their windows to, one after the other."""
        size = 2 * CHUNK_BYTES // self.ground.itemsize
        if self.ground.device.type != "cpu" or numbers > size:
            self.bytes += numbers * self.ground.itemsize
            return self.ground.new_empty(numbers)
        name = str(self.ground.dtype)
        shared: Tensor | None = getattr(_kept, name, None)
        if shared is None or shared.numel() < size:
            shared = self.ground.new_empty(size)
            setattr(_kept, name, shared)
        return shared[:numbers]


def write(block: Block, samples: int) -> Tensor:
    """im2col of the first samples on the ground: matrices (samples G, C/G th tw, positions)."""
    if samples == block.windows.shape[0]:
        block.target.copy_(block.windows)
        return block.matrices
    block.target[:samples].copy_(block.windows[:samples])
    return block.matrices[: block.matrices.shape[0] // block.windows.shape[0] * samples]


def _off_4_kilobytes(width: int) -> int:
    """A row length that keeps rows from falling into the same lines of the cache.

    Rows of 1,024 float32 lie 4 KB apart; the forward of 8 channels of 32 x 32 takes 340 us with
    them, and 260 us with 1,040.
    """
    return width + 16 if width % 128 == 0 else width
