"""The three contractions of a convolution.

A convolution couples three tensors: the picture x (N, C, H, W), the kernel w (O, C/G, kh, kw) and
the response y (N, O, oh, ow), with G groups. Output position i and kernel tap u meet the picture at

    a = stride i + dilation u - padding                    (each axis with its own numbers)

and all three contractions sum the same products, each over what its result does not have:

    gather           y[n, o, i] = sum over c, u of  w[o, c, u] x[n, c, a]
    spread           x[n, c, a] = sum over o and all (i, u) that meet at a of  w[o, c, u] y[n, o, i]
    weight gradient  w[o, c, u] = sum over n, i of  y[n, o, i] x[n, c, a]

Conv2d gathers, and its backward spreads; ConvTranspose2d spreads, and its backward gathers. Outside
the picture x is zero. (V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
learning", 2016.)

Each is a matrix product with a matrix of windows (im2col). `gather` and `weight_gradient` take the
windows of x at every stride-th position. `spread` takes one phase of x at a time, the pixels
a = stride q + r with one remainder r: the taps u that meet this phase do so at
i = q + (r + padding - dilation u) / stride, one further for every further q, so the phase is a
correlation of y with stride 1, of those taps alone. Phases that meet as many taps take their
windows from one matrix and are one product: all four of a kernel 4 x 4 with stride 2.

The weight gradient could share the windows of `spread`. That would save a fifth of the backward of
8 channels, but multiply pixels that no window holds with the zeros around y, and so carry a NaN to
taps that never met it.

Results have the dtype of the first argument; 16-bit tensors are summed in float32 and rounded once,
the weight gradient by the layer that adds it up.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from scratch_layers.checks import Pair, working_dtype
from scratch_layers.products import product
from scratch_layers.windows import Along, Area, Block, Windows, write


class Geometry(NamedTuple):
    """How positions, taps and the picture meet; pairs are (height, width).

    `padding` is what lies before the first row and column. How far the picture is padded at its end
    follows from the sizes of the tensors.
    """

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    def span(self, positions: Pair, kernel: Pair) -> Pair:
        """Rows and columns that so many positions of the kernel cover, padding included."""
        height, width = (
            s * (i - 1) + d * (k - 1) + 1
            for s, i, d, k in zip(self.stride, positions, self.dilation, kernel, strict=True)
        )
        return height, width


class Phase(NamedTuple):
    """Along one axis, the pixels of one remainder, the windows of y that they take, and the taps.

    Windows run forwards, and so meet the taps from the last to the first: `taps` are those of the
    flipped kernel.
    """

    windows: slice
    pixels: slice
    taps: slice


class Alike(NamedTuple):
    """Along one axis, phases that meet as many taps: the windows of all are among `windows`."""

    windows: Along
    phases: list[Phase]


class Part(NamedTuple):
    """Some rows and columns of the windows, and the part (N, G, M/G, ...) of a result they make."""

    rows: slice
    columns: slice
    result: Tensor


def gather(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, positions: Pair
) -> Tensor:
    """Compute y (N, O, *positions) from x (N, C, H, W) and w (O, C/G, kh, kw), plus b (O)."""
    y = x.new_empty(x.shape[0], weight.shape[0], *positions)
    area = _positions(geometry, _size(weight), positions)
    windows = Windows.of(x, (area,), geometry.groups)
    left = _matrices(weight, geometry.groups)
    _correlate(x, windows, [(left, [_whole(y, geometry.groups)])], bias)
    return y


def spread(
    y: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, size: Pair
) -> Tensor:
    """Compute x (N, C, *size) from y (N, O, oh, ow) and w (O, C/G, kh, kw), plus b (C)."""
    groups, kernel = geometry.groups, _size(weight)
    x = y.new_empty(y.shape[0], groups, weight.shape[1], *size)
    flipped = weight.to(working_dtype(weight.dtype)).flip(2, 3)
    taps = flipped.view(groups, -1, *flipped.shape[1:]).transpose(1, 2)
    met, missed = _phases(geometry, kernel, size)
    products = []
    for rows, columns in met:
        pairs = [(row, column) for row in rows.phases for column in columns.phases]
        lefts = [taps[..., row.taps, column.taps] for row, column in pairs]
        parts = [
            Part(row.windows, column.windows, x[..., row.pixels, column.pixels])
            for row, column in pairs
        ]
        left = torch.cat(lefts, 1) if len(lefts) > 1 else lefts[0]
        products.append((left.reshape(*left.shape[:2], -1), parts))
    if met:
        areas = tuple((rows.windows, columns.windows) for rows, columns in met)
        _correlate(y, Windows.of(y, areas, groups), products, bias)
    for row, column in missed:
        x[..., row.pixels, column.pixels] = 0 if bias is None else bias.view(groups, -1, 1, 1)
    return x.flatten(1, 2)


def weight_gradient(x: Tensor, y: Tensor, geometry: Geometry, kernel: Pair) -> Tensor:
    """Compute w (O, C/G, *kernel) from x (N, C, H, W) and y (N, O, oh, ow), not rounded yet."""
    windows = Windows.of(x, (_positions(geometry, kernel, _size(y)),), geometry.groups)
    taps = _no_taps(windows, y)
    for first, count in windows.lay(x):
        responses = y[first : first + count]
        for block in windows.blocks[0]:
            _weigh(taps, responses[:, :, block.lines], write(block, count))
    return taps.view(y.shape[1], -1, *kernel)


def spread_gradients(
    dx: Tensor, weight: Tensor, y: Tensor, geometry: Geometry
) -> tuple[Tensor, Tensor]:
    """The backward of `spread`: dy, gathered from dx, and the weight gradient of dx and y.

    Both from the same windows, where `gather` and `weight_gradient` would make them twice.
    """
    kernel, dy = _size(weight), torch.empty_like(y, memory_format=torch.contiguous_format)
    windows = Windows.of(dx, (_positions(geometry, kernel, _size(y)),), geometry.groups)
    left, taps = _matrices(weight, geometry.groups), _no_taps(windows, y)
    parts = [_whole(dy, geometry.groups)]
    for first, count in windows.lay(dx):
        responses = y[first : first + count]
        for block in windows.blocks[0]:
            right = write(block, count)
            _multiply(left, right, None, block, parts, first, count)
            _weigh(taps, responses[:, :, block.lines], right)
    return dy, taps.view(y.shape[1], -1, *kernel)


def _correlate(
    source: Tensor,
    windows: Windows,
    products: list[tuple[Tensor, list[Part]]],
    bias: Tensor | None,
) -> None:
    """For each area multiply its matrix (G, parts M/G, C/G th tw) with its windows of the source,
    into its parts, plus b (M).
    """
    shift = None if bias is None else bias.view(windows.groups, -1, 1, 1)
    for first, count in windows.lay(source):
        for (left, parts), blocks in zip(products, windows.blocks, strict=True):
            for block in blocks:
                _multiply(left, write(block, count), shift, block, parts, first, count)


def _matrices(weight: Tensor, groups: int) -> Tensor:
    """The weight (O, C/G, kh, kw) as one matrix for each group, in the working dtype."""
    return weight.to(working_dtype(weight.dtype)).reshape(groups, weight.shape[0] // groups, -1)


def _whole(result: Tensor, groups: int) -> Part:
    """All of a result (N, M, oh, ow)."""
    n, m, height, width = result.shape
    by_group = result.view(n, groups, m // groups, height, width)
    return Part(slice(0, height), slice(0, width), by_group)


def _multiply(
    left: Tensor,
    right: Tensor,
    shift: Tensor | None,
    block: Block,
    parts: list[Part],
    first: int,
    count: int,
) -> None:
    """Write left times right, plus shift, to the parts of `count` samples from the first on."""
    groups, lines, columns = right.shape[0], *block.windows.shape[4:]
    values = product(left, right)[..., : count * lines * columns]
    values = values.view(groups, len(parts), -1, count, lines, columns).permute(1, 3, 0, 2, 4, 5)
    start = block.lines.start
    for i, (rows, cols, result) in enumerate(parts):
        low, high = max(rows.start, start), min(rows.stop, start + lines)
        if low < high:
            value = values[i, ..., low - start : high - start, cols]
            into = result[first : first + count, ..., low - rows.start : high - rows.start, :]
            if shift is None:
                into.copy_(value)
            else:
                torch.add(value, shift, out=into)


def _no_taps(windows: Windows, y: Tensor) -> Tensor:
    """Zeros for the weight gradient, one matrix for each group."""
    matrix = windows.blocks[0][0].matrix
    return matrix.new_zeros(matrix.shape[0], y.shape[1] // windows.groups, matrix.shape[1])


def _weigh(taps: Tensor, responses: Tensor, right: Tensor) -> None:
    """Add the product of the responses and the windows to the taps, zeros in spare columns."""
    n, m, *positions = responses.shape
    used = n * math.prod(positions)
    left = right.new_zeros(m, right.shape[2])
    left[:, :used].view(m, n, *positions).copy_(responses.transpose(0, 1))
    right[..., used:] = 0
    taps += product(left.view(taps.shape[0], -1, right.shape[2]), right.transpose(1, 2))


def _positions(geometry: Geometry, kernel: Pair, positions: Pair) -> Area:
    """The windows of the picture at every stride-th position, along both axes."""
    rows, columns = (
        Along(-p, d, k, s, i)
        for s, p, d, k, i in zip(*geometry[:3], kernel, positions, strict=True)
    )
    return rows, columns


@lru_cache
def _phases(
    geometry: Geometry, kernel: Pair, size: Pair
) -> tuple[list[tuple[Alike, Alike]], list[tuple[Phase, Phase]]]:
    """The phases of a picture of that size: those that some tap meets, and those that none does."""
    met, missed = [], []
    for rows in _phases_along(geometry, 0, kernel[0], size[0]):
        for columns in _phases_along(geometry, 1, kernel[1], size[1]):
            if rows.windows.taps and columns.windows.taps:
                met.append((rows, columns))
            else:
                missed += [(row, column) for row in rows.phases for column in columns.phases]
    return met, missed


def _phases_along(geometry: Geometry, axis: int, kernel: int, size: int) -> list[Alike]:
    """Every phase along one axis, those together that meet as many taps.

    They start within one position of each other, unless there is dilation: then equal starts only.
    """
    stride, padding, dilation = (pair[axis] for pair in geometry[:3])
    every = stride // math.gcd(stride, dilation)
    alike: dict[Pair, list[tuple[int, int, slice, slice]]] = {}
    for remainder in range(min(stride, size)):
        offset, pixels = remainder + padding, range(remainder, size, stride)
        met = [u for u in range(kernel) if (offset - dilation * u) % stride == 0]
        start = (offset - dilation * met[-1]) // stride if met else 0
        taps = slice(kernel - 1 - met[-1], kernel - met[0], every) if met else slice(0)
        phase = start, start + len(pixels), slice(remainder, None, stride), taps
        alike.setdefault((len(met), start if dilation > 1 else 0), []).append(phase)
    found = []
    for (count, _), phases in alike.items():
        first, end = min(phase[0] for phase in phases), max(phase[1] for phase in phases)
        windows = Along(first, dilation * every // stride, count, 1, end - first)
        parts = [
            Phase(slice(start - first, stop - first), pixels, taps)
            for start, stop, pixels, taps in phases
        ]
        found.append(Alike(windows, parts))
    return found


def _size(tensor: Tensor) -> Pair:
    height, width = tensor.shape[2:]
    return height, width
