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
correlation of y with stride 1, of those taps alone.

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
from scratch_layers.windows import Along, Windows


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
    """Along one axis, `length` pixels stride apart: where their windows begin among those that are
    made, and the taps they meet. Windows run forwards, so these are taps of the flipped kernel.
    """

    taps: slice
    first: int
    length: int
    remainder: int = 0
    stride: int = 1

    def pixels(self, first: int, last: int) -> slice:
        """The pixels of the windows first ... last - 1."""
        return slice(self.remainder + self.stride * first, self.stride * last, self.stride)


Shared = tuple[Along, tuple[Phase, ...]]
"""Along one axis, the windows for some neighbouring phases, which meet as many taps."""
Part = tuple[int, int, Pair, slice, slice]
"""What a phase takes of a product: its number, where in a row it begins, its lines and columns; and
the rows and columns of the pixels that these are."""


class Pattern:
    """Windows, and the phases that share them: one product."""

    def __init__(self, rows: Shared, columns: Shared) -> None:
        self.area = rows[0], columns[0]
        self.phases = list(itertools.product(rows[1], columns[1]))

    def left(self, taps: Tensor) -> Tensor:
        """The taps that each phase meets, of (G, M/G, C/G, kh, kw): (G, phases M/G, C/G th tw)."""
        some = [taps[..., row.taps, column.taps] for row, column in self.phases]
        return _matrix(torch.cat(some, 1) if len(some) > 1 else some[0])

    @lru_cache  # noqa: B019
    def parts(self, start: int, stop: int) -> list[Part]:
        """What the windows on the lines start ... stop - 1 are for."""
        parts: list[Part] = []
        for k, (row, column) in enumerate(self.phases):
            first, last = (min(max(0, i - row.first), row.length) for i in (start, stop))
            place = (row.first + first - start) * self.area[1].positions + column.first
            pixels = row.pixels(first, last), column.pixels(0, column.length)
            if first < last:
                parts.append((k, place, (last - first, column.length), *pixels))
        return parts


def flipped(weight: Tensor, groups: int) -> Tensor:
    """The weight (O, C/G, kh, kw) as `spread` reads it: (G, C/G, O/G, kh, kw), last tap first."""
    return _by_group(weight, groups).transpose(1, 2).flip(3, 4)


def gather(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, positions: Pair
) -> Tensor:
    """Compute y (N, O, *positions) from x (N, C, H, W) and w (O, C/G, kh, kw), plus b (O)."""
    pattern = _positions(geometry, _size(weight), positions)
    return _correlate(x, _by_group(weight, geometry.groups), bias, [pattern], positions)


def spread(y: Tensor, taps: Tensor, bias: Tensor | None, geometry: Geometry, size: Pair) -> Tensor:
    """Compute x (N, C, *size) from y (N, O, oh, ow) and the flipped weight, plus b (C)."""
    return _correlate(y, taps, bias, _phases(geometry, _size(taps), size), size)


def weight_gradient(x: Tensor, y: Tensor, geometry: Geometry, kernel: Pair) -> Tensor:
    """Compute w (O, C/G, *kernel) from x (N, C, H, W) and y (N, O, oh, ow), not rounded yet."""
    area = _positions(geometry, kernel, _size(y)).area
    chunks = Windows.of(x, (area,), geometry.groups).chunks(x)
    products = (_weigh(y[samples, :, lines], right) for _, samples, lines, right in chunks)
    return reduce(Tensor.add_, products).reshape(y.shape[1], -1, *kernel)


def spread_gradients(
    dx: Tensor, weight: Tensor, y: Tensor, geometry: Geometry
) -> tuple[Tensor, Tensor]:
    """The backward of `spread`: dy, gathered from dx, and the gradient of w (O, C/G, kh, kw).

    Both from the same windows, where `gather` and `weight_gradient` would make them twice.
    """
    taps = _by_group(weight, geometry.groups)
    left, dy = _matrix(taps), y.new_empty(y.shape[0], *taps.shape[:2], *_size(y))
    pattern = _positions(geometry, _size(weight), _size(y))

    def products() -> Iterator[Tensor]:
        for _, samples, lines, right in Windows.of(dx, (pattern.area,), geometry.groups).chunks(dx):
            _multiply(left, right, None, pattern, lines, dy[samples])
            yield _weigh(y[samples, :, lines], right)

    return dy.view(y.shape), reduce(Tensor.add_, products()).reshape(weight.shape)


def _correlate(
    source: Tensor, taps: Tensor, bias: Tensor | None, patterns: list[Pattern], size: Pair
) -> Tensor:
    """The result (N, M, *size): products of windows of the source and taps, by phase, plus b (M).

    The taps are (G, M/G, C/G, kh, kw).
    """
    groups, channels = taps.shape[:2]
    result = source.new_empty(source.shape[0], groups, channels, *size)
    shift = None if bias is None else bias.view(groups, channels, 1, 1)
    lefts = [pattern.left(taps) for pattern in patterns]
    windows = Windows.of(source, tuple(pattern.area for pattern in patterns), groups)
    for i, samples, lines, right in windows.chunks(source):
        _multiply(lefts[i], right, shift, patterns[i], lines, result[samples])
    return result.flatten(1, 2)


def _matrix(taps: Tensor) -> Tensor:
    """The taps (G, M/G, C/G, th, tw) as one matrix for each group, in the working dtype."""
    return taps.to(working_dtype(taps.dtype)).flatten(2)


def _multiply(
    left: Tensor,
    right: Tensor,
    shift: Tensor | None,
    pattern: Pattern,
    lines: slice,
    result: Tensor,
) -> None:
    """Write left times right, plus shift, to the pixels of the result (N, G, M/G, height, width)
    that the windows on these lines are for.
    """
    n, groups, m = result.shape[:3]
    values, columns = product(left, right).contiguous(), pattern.area[1].positions
    wide = values.shape[2]
    strides = ((lines.stop - lines.start) * columns, values.stride(0), wide, columns, 1)
    for phase, start, size, rows, others in pattern.parts(lines.start, lines.stop):
        value = values.as_strided((n, groups, m, *size), strides, phase * m * wide + start)
        if shift is None:
            result[..., rows, others].copy_(value)
        else:
            torch.add(value, shift, out=result[..., rows, others])


def _weigh(responses: Tensor, right: Tensor) -> Tensor:
    """The product of the responses and the windows, zeros in spare columns."""
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
def _positions(geometry: Geometry, kernel: Pair, positions: Pair) -> Pattern:
    """The windows of the picture at every stride-th position, along both axes."""
    rows, columns = (
        (Along(-p, d, k, s, i), (Phase(slice(None), 0, i),))
        for s, p, d, k, i in zip(*geometry[:3], kernel, positions, strict=True)
    )
    return Pattern(rows, columns)


@lru_cache
def _phases(geometry: Geometry, kernel: Pair, size: Pair) -> list[Pattern]:
    """The phases of a picture of that size; those that no tap meets have empty windows."""
    axes = (_phases_along(geometry, i, kernel[i], size[i]) for i in (0, 1))
    return [Pattern(rows, columns) for rows, columns in itertools.product(*axes)]


def _phases_along(geometry: Geometry, axis: int, kernel: int, size: int) -> list[Shared]:
    """Every phase along one axis. A phase shares the windows of the one before it where it meets as
    many taps and its windows begin no more than one further, so that few are made in vain.
    """
    stride, padding, dilation = (pair[axis] for pair in geometry[:3])
    every = stride // math.gcd(stride, dilation)
    found: list[Shared] = []
    phases: tuple[Phase, ...]
    last = 0
    for remainder in range(min(stride, size)):
        offset, count = remainder + padding, len(range(remainder, size, stride))
        met = [u for u in range(kernel) if (offset - dilation * u) % stride == 0]
        start = (offset - dilation * met[-1]) // stride if met else 0
        taps = slice(kernel - 1 - met[-1], kernel - met[0], every) if met else slice(0)
        windows, phases = Along(start, dilation * every // stride, len(met), 1, 0), ()
        if found and found[-1][0].taps == len(met) and start - last in (0, 1):
            windows, phases = found.pop()
        first, last = start - windows.start, start
        windows = windows._replace(positions=max(windows.positions, first + count))
        found.append((windows, (*phases, Phase(taps, first, count, remainder, stride))))
    return found


def _by_group(weight: Tensor, groups: int) -> Tensor:
    """The weight (O, C/G, kh, kw) as (G, O/G, C/G, kh, kw)."""
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


def _size(tensor: Tensor) -> Pair:
    height, width = tensor.shape[-2:]
    return height, width
