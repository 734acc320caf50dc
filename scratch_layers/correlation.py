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
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from scratch_layers.checks import Pair, working_dtype
from scratch_layers.products import product
from scratch_layers.windows import Along, Area, Windows


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


# Some windows, the taps (G, M/G, C/G, th, tw) they meet, and the result (N, M, *positions).
Product = tuple[Area, Tensor, Tensor]


class Phase(NamedTuple):
    """Along one axis, the pixels of one remainder: their windows of y, and the taps they meet.

    Windows run forwards, and so meet the taps from the last to the first: `taps` are those of the
    flipped kernel.
    """

    windows: Along
    pixels: slice
    taps: slice


def gather(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, positions: Pair
) -> Tensor:
    """Compute y (N, O, *positions) from x (N, C, H, W) and w (O, C/G, kh, kw), plus b (O)."""
    y = x.new_empty(x.shape[0], weight.shape[0], *positions)
    area = _positions(geometry, _size(weight), positions)
    _correlate(x, [(area, _by_group(weight, geometry.groups), y)], bias)
    return y


def spread(
    y: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, size: Pair
) -> Tensor:
    """Compute x (N, C, *size) from y (N, O, oh, ow) and w (O, C/G, kh, kw), plus b (C)."""
    x = y.new_empty(y.shape[0], weight.shape[1] * geometry.groups, *size)
    taps = _by_group(weight.flip(2, 3), geometry.groups).transpose(1, 2)
    met, missed = _phases(geometry, _size(weight), size)
    products = []
    for rows, columns in met:
        of_phase = taps[..., rows.taps, columns.taps], x[:, :, rows.pixels, columns.pixels]
        products.append(((rows.windows, columns.windows), *of_phase))
    _correlate(y, products, bias)
    for rows, columns in missed:
        x[:, :, rows.pixels, columns.pixels] = 0 if bias is None else bias.view(-1, 1, 1)
    return x


def weight_gradient(x: Tensor, y: Tensor, geometry: Geometry, kernel: Pair) -> Tensor:
    """Compute w (O, C/G, *kernel) from x (N, C, H, W) and y (N, O, oh, ow), not rounded yet."""
    groups, area = geometry.groups, _positions(geometry, kernel, _size(y))
    shape = groups, y.shape[1] // groups, x.shape[1] // groups * math.prod(kernel)
    taps = x.new_zeros(shape, dtype=working_dtype(x.dtype))
    for _, samples, lines, right in Windows.of(x, (area,), groups).chunks(x):
        _weigh(taps, y[samples, :, lines], right)
    return taps.view(y.shape[1], -1, *kernel)


def spread_gradients(
    dx: Tensor, weight: Tensor, y: Tensor, geometry: Geometry
) -> tuple[Tensor, Tensor]:
    """The backward of `spread`: dy, gathered from dx, and the weight gradient of dx and y.

    Both from the same windows, where `gather` and `weight_gradient` would make them twice.
    """
    dy = torch.empty_like(y, memory_format=torch.contiguous_format)
    area = _positions(geometry, _size(weight), _size(y))
    left = _matrices(_by_group(weight, geometry.groups))
    taps = torch.zeros_like(left)
    for _, samples, lines, right in Windows.of(dx, (area,), geometry.groups).chunks(dx):
        _multiply(left, right, None, dy[samples, :, lines])
        _weigh(taps, y[samples, :, lines], right)
    return dy, taps.view(weight.shape)


def _correlate(source: Tensor, products: list[Product], bias: Tensor | None) -> None:
    """Compute every product, plus b (M), from the windows of the source."""
    lefts = [_matrices(taps) for _, taps, _ in products]
    if products:
        areas = tuple(area for area, _, _ in products)
        for i, samples, lines, right in Windows.of(source, areas, len(lefts[0])).chunks(source):
            _multiply(lefts[i], right, bias, products[i][2][samples, :, lines])


def _matrices(taps: Tensor) -> Tensor:
    """The taps (G, M/G, C/G, th, tw) as one matrix for each group, in the working dtype."""
    return taps.to(working_dtype(taps.dtype)).reshape(*taps.shape[:2], -1)


def _multiply(left: Tensor, right: Tensor, bias: Tensor | None, result: Tensor) -> None:
    """Write left times right, plus b, to the result, whose pixels may lie a stride apart."""
    n, m, *positions = result.shape
    values = product(left, right).view(m, -1)[:, : n * math.prod(positions)]
    values = values.view(m, n, *positions).transpose(0, 1)
    if bias is None:
        result.copy_(values)
    else:
        torch.add(values, bias.view(-1, 1, 1), out=result)


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
) -> tuple[list[tuple[Phase, Phase]], list[tuple[Phase, Phase]]]:
    """The phases of a picture of that size: those that some tap meets, and those that none does."""
    rows, columns = (_phases_along(geometry, i, kernel[i], size[i]) for i in (0, 1))
    pairs = list(itertools.product(rows, columns))
    met = [pair for pair in pairs if all(phase.windows.taps for phase in pair)]
    return met, [pair for pair in pairs if pair not in met]


def _phases_along(geometry: Geometry, axis: int, kernel: int, size: int) -> list[Phase]:
    """Every phase along one axis."""
    stride, padding, dilation = (pair[axis] for pair in geometry[:3])
    every = stride // math.gcd(stride, dilation)
    phases = []
    for remainder in range(min(stride, size)):
        offset, pixels = remainder + padding, range(remainder, size, stride)
        met = [u for u in range(kernel) if (offset - dilation * u) % stride == 0]
        start = (offset - dilation * met[-1]) // stride if met else 0
        windows = Along(start, dilation * every // stride, len(met), 1, len(pixels))
        taps = slice(kernel - 1 - met[-1], kernel - met[0], every) if met else slice(0)
        phases.append(Phase(windows, slice(remainder, None, stride), taps))
    return phases


def _by_group(weight: Tensor, groups: int) -> Tensor:
    """The weight (O, C/G, kh, kw) as (G, O/G, C/G, kh, kw)."""
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


def _size(tensor: Tensor) -> Pair:
    height, width = tensor.shape[2:]
    return height, width
