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
correlation of y with stride 1, of those taps alone. Neighbouring phases that meet as many taps, as
all do where an upsampling by 2 is fused, share their windows and are one product.

The weight gradient could share the windows of `spread`. That would save a fifth of the backward of
8 channels, but multiply pixels that no window holds with the zeros around y, and so carry a NaN to
taps that never met it.

Results have the dtype of the first argument; 16-bit tensors are summed in float32 and rounded once,
the weight gradient by the layer that adds it up.
"""

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache, reduce
from typing import NamedTuple

import torch
from torch import Tensor

from scratch_layers.checks import Pair, working_dtype
from scratch_layers.products import product
from scratch_layers.windows import Along, Chunk, Windows


class Geometry(NamedTuple):
    """How positions, taps and the picture meet; pairs are (height, width).

    `padding` is what lies before the first row and column. How far the picture is padded at its end
    follows from the sizes of the tensors.
    """

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int


class Phase(NamedTuple):
    """Along one axis, `length` pixels stride apart: where their windows begin among those that are
    made, and the taps they meet, from the last to the first because windows run forwards.
    """

    taps: tuple[int, ...]
    first: int
    length: int
    remainder: int = 0
    stride: int = 1


Size = tuple[int, ...]
"""Height and width, as a tensor's shape has them."""


Shared = tuple[Along, tuple[Phase, ...]]
"""Along one axis, the windows for some neighbouring phases, which meet as many taps."""


Part = tuple[int, int, Pair, Pair, Pair]
"""What some lines of windows are for, the k-th phase: k, where in a row of the product it begins,
its lines and columns; and of its pixels the first, and how far apart they lie."""


class Pattern:
    """Windows, and the phases that share them: one product."""

    def __init__(self, rows: Shared, columns: Shared, width: int) -> None:
        self.area = rows[0], columns[0]
        self.phases = list(itertools.product(rows[1], columns[1]))
        places = [u * width + v for r, c in self.phases for u in r.taps for v in c.taps]
        self.taps = torch.tensor(places, dtype=torch.int64, device="cpu")

    def left(self, taps: Tensor) -> Tensor:
        """The taps that each phase meets, of (G, M/G, C/G, kh kw): (G, M/G phases, C/G th tw)."""
        met, phases = taps.index_select(3, self.taps.to(taps.device)), len(self.phases)
        if phases == 1:
            return met.flatten(2)
        groups, outputs, channels, count = met.shape
        met = met.view(groups, outputs, channels, phases, count // phases).transpose(2, 3)
        return met.reshape(groups, outputs * phases, channels * (count // phases))

    @lru_cache  # noqa: B019 - patterns are few, and kept by the caches below anyway
    def parts(self, start: int, stop: int) -> list[Part]:
        """What the windows on the lines start ... stop - 1 are for."""
        parts: list[Part] = []
        for k, (row, column) in enumerate(self.phases):
            first, last = (min(max(0, i - row.first), row.length) for i in (start, stop))
            place = (row.first + first - start) * self.area[1].positions + column.first
            size, step = (last - first, column.length), (row.stride, column.stride)
            if first < last:
                pixel = row.remainder + row.stride * first, column.remainder
                parts.append((k, place, size, pixel, step))
        return parts


def by_group(weight: Tensor, groups: int) -> Tensor:
    """The weight (O, C/G, kh, kw) as (G, O/G, C/G, kh kw), in the working dtype."""
    outputs, channels = weight.shape[:2]
    return weight.to(working_dtype(weight.dtype)).reshape(groups, outputs // groups, channels, -1)


def gather(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, positions: Size
) -> Tensor:
    """Compute y (N, O, *positions) from x (N, C, H, W) and w by group, plus b (O)."""
    return _correlate(x, [weight.flatten(2)], bias, [_positions(geometry, positions)], positions)


def spread(
    y: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, size: Size
) -> Tensor:
    """Compute x (N, C, *size) from y (N, O, oh, ow) and w by group, plus b (C)."""
    patterns, taps = _phases(geometry, size), weight.transpose(1, 2)
    return _correlate(y, [pattern.left(taps) for pattern in patterns], bias, patterns, size)


def weight_gradient(x: Tensor, y: Tensor, geometry: Geometry) -> Tensor:
    """Compute w (O, C/G, kh, kw) from x (N, C, H, W) and y (N, O, oh, ow), not rounded yet."""
    area = _positions(geometry, y.shape[2:]).area
    chunks = Windows.of(x, (area,), geometry.groups).chunks(x)
    taps = reduce(Tensor.add_, (_weigh(y, chunk) for chunk in chunks))
    return taps.reshape(y.shape[1], -1, *geometry.kernel)


def spread_gradients(
    dx: Tensor, weight: Tensor, y: Tensor, geometry: Geometry
) -> tuple[Tensor, Tensor]:
    """The backward of `spread`: dy, gathered from dx, and the gradient of w (O, C/G, kh, kw).

    Both from the same windows, where `gather` and `weight_gradient` would make them twice.
    """
    left, pattern = weight.flatten(2), _positions(geometry, y.shape[2:])
    dy = y.new_empty(y.shape)

    def products() -> Iterator[Tensor]:
        for chunk in Windows.of(dx, (pattern.area,), geometry.groups).chunks(dx):
            _multiply(left, chunk, None, pattern, dy)
            yield _weigh(y, chunk)

    return dy, reduce(Tensor.add_, products()).reshape(y.shape[1], -1, *geometry.kernel)


def _correlate(
    source: Tensor, lefts: list[Tensor], bias: Tensor | None, patterns: list[Pattern], size: Size
) -> Tensor:
    """The result (N, M, *size): each pattern's taps times its windows of the source, plus b."""
    groups, rows, _ = lefts[0].shape
    channels = rows // len(patterns[0].phases)
    result = source.new_empty(source.shape[0], groups * channels, *size)
    shift = None if bias is None else bias.view(groups, channels, 1, 1)
    windows = Windows.of(source, tuple(pattern.area for pattern in patterns), groups)
    for chunk in windows.chunks(source):
        _multiply(lefts[chunk.area], chunk, shift, patterns[chunk.area], result)
    return result


def _multiply(
    left: Tensor, chunk: Chunk, shift: Tensor | None, pattern: Pattern, result: Tensor
) -> None:
    """Write left times windows, plus shift (G, M/G, 1, 1), to the pixels that the windows are for.

    Views of the result (N, M, height, width) are made at once, where slices take three calls.
    """
    values, (samples, lines) = product(left, chunk.matrix).contiguous(), chunk[1:3]
    (groups, rows, wide), phases = values.shape, len(pattern.phases)
    n, columns = samples.stop - samples.start, pattern.area[1].positions
    sample, channel, line, _ = result.stride()
    group = channel * (rows // phases)
    strides = ((lines.stop - lines.start) * columns, rows * wide, phases * wide, columns, 1)
    for k, place, size, (top, start), (down, across) in pattern.parts(lines.start, lines.stop):
        shape = n, groups, rows // phases, *size
        value = values.as_strided(shape, strides, k * wide + place)
        steps = sample, group, channel, line * down, across
        pixels = result.as_strided(shape, steps, samples.start * sample + top * line + start)
        if shift is None:
            pixels.copy_(value)
        else:
            torch.add(value, shift, out=pixels)


def _weigh(y: Tensor, chunk: Chunk) -> Tensor:
    """The product of the responses and their windows, zeros in spare columns."""
    responses, right = y[chunk.samples, :, chunk.lines], chunk.matrix
    n, m, height, width = responses.shape
    groups, _, wide = right.shape
    used, left = n * height * width, right.new_empty(groups, m // groups, wide)
    in_left = left.as_strided((m, n, height, width), (wide, height * width, width, 1))
    in_left.copy_(responses.transpose(0, 1))
    if used < wide:
        left[..., used:].zero_()
        right[..., used:].zero_()
    return product(left, right.mT)


@lru_cache
def _positions(geometry: Geometry, positions: Size) -> Pattern:
    """The windows of the picture at every stride-th position, along both axes."""
    rows, columns = (
        (Along(-p, d, k, s, i), (Phase(tuple(range(k)), 0, i),))
        for k, s, p, d, i in zip(*geometry[:4], positions, strict=True)
    )
    return Pattern(rows, columns, geometry.kernel[1])


@lru_cache
def _phases(geometry: Geometry, size: Size) -> list[Pattern]:
    """The phases of a picture of that size; those that no tap meets have empty windows."""
    rows, columns = (_phases_along(geometry, axis, size[axis]) for axis in (0, 1))
    return [Pattern(row, column, geometry.kernel[1]) for row in rows for column in columns]


def _phases_along(geometry: Geometry, axis: int, size: int) -> list[Shared]:
    """Every phase along one axis. A phase shares the windows of the one before it where it meets as
    many taps and its windows begin no more than one further, so that few are made in vain.
    """
    kernel, stride, padding, dilation = (pair[axis] for pair in geometry[:4])
    found: list[Shared] = []
    phases: tuple[Phase, ...]
    last = 0
    for remainder in range(min(stride, size)):
        offset, length = remainder + padding, len(range(remainder, size, stride))
        taps = tuple(u for u in reversed(range(kernel)) if (offset - dilation * u) % stride == 0)
        start = (offset - dilation * taps[0]) // stride if taps else 0
        step = dilation // math.gcd(stride, dilation)
        windows, phases = Along(start, step, len(taps), 1, 0), ()
        if found and found[-1][0].taps == len(taps) and start - last in (0, 1):
            windows, phases = found.pop()
        first, last = start - windows.start, start
        windows = windows._replace(positions=max(windows.positions, first + length))
        found.append((windows, (*phases, Phase(taps, first, length, remainder, stride))))
    return found
