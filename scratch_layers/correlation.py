"""The three contractions of a convolution.

A convolution couples three tensors: the picture x (N, C, H, W), the kernel w (O, C/G, kh, kw) and
the response y (N, O, oh, ow), with G groups. Output position i and kernel tap u meet the picture at

    a = stride i + dilation u - padding                    (each axis with its own numbers)

and all three contractions sum the same products, each over what its result does not have:

    correlate        y[n, o, i] = sum over c, u of  w[o, c, u] x[n, c, a]
    input gradient   x[n, c, a] = sum over o and all (i, u) that meet at a of  w[o, c, u] y[n, o, i]
    weight gradient  w[o, c, u] = sum over n, i of  y[n, o, i] x[n, c, a]

Conv2d is the first, and its backward the other two. ConvTranspose2d is the second, and its backward
the first and the third. Outside the picture x is zero. (V. Dumoulin, F. Visin, "A guide to
convolution arithmetic for deep learning", 2016.)

Each is one matrix product with im2col's matrix of windows. Results have the dtype of the first
argument; 16-bit tensors are summed in float32 and rounded once.
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import fold

from scratch_layers.checks import Pair, working_dtype

# A chunk of the batch whose windows stay in the cache between writing and multiplying them.
CHUNK_BYTES = 1 << 20


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


def correlate(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, positions: Pair
) -> Tensor:
    """Compute y (N, O, *positions) from x (N, C, H, W) and w (O, C/G, kh, kw), plus b (O)."""
    taps, kernel = _taps(weight, geometry.groups), _size(weight)
    y = x.new_empty(len(x), len(weight), *positions)
    for part in _chunks(x, kernel, positions):
        columns = _columns(x[part], kernel, geometry, positions)
        response = (taps @ columns).reshape(-1, len(weight), *positions)
        y[part] = response if bias is None else response + bias.view(-1, 1, 1)
    return y


def correlate_input_gradient(
    y: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, size: Pair
) -> Tensor:
    """Compute x (N, C, *size) from y (N, O, oh, ow) and w (O, C/G, kh, kw), plus b (C)."""
    taps, kernel, positions = _taps(weight, geometry.groups), _size(weight), _size(y)
    span, (up, left) = geometry.span(positions, kernel), geometry.padding
    x = y.new_empty(len(y), weight.shape[1] * geometry.groups, *size)
    for part in _chunks(x, kernel, positions):
        columns = taps.transpose(1, 2) @ _responses(y[part], geometry.groups)
        padded = fold(columns.flatten(1, 2), span, kernel, geometry.dilation, 0, geometry.stride)
        picture = _place(padded, (-up, -left), size)
        x[part] = picture if bias is None else picture + bias.view(-1, 1, 1)
    return x


def correlate_weight_gradient(x: Tensor, y: Tensor, geometry: Geometry, kernel: Pair) -> Tensor:
    """Compute w (O, C/G, *kernel) from x (N, C, H, W) and y (N, O, oh, ow), in x's dtype."""
    groups, outputs, inner = geometry.groups, y.shape[1], x.shape[1] // geometry.groups
    taps = x.new_zeros(
        groups, outputs // groups, inner * _area(kernel), dtype=working_dtype(x.dtype)
    )
    for part in _chunks(x, kernel, _size(y)):
        columns = _columns(x[part], kernel, geometry, _size(y))
        taps += (_responses(y[part], groups) @ columns.transpose(2, 3)).sum(0)
    return taps.to(x.dtype).view(outputs, inner, *kernel)


def _columns(x: Tensor, kernel: Pair, geometry: Geometry, positions: Pair) -> Tensor:
    """im2col: the windows of x as matrices (N, G, C/G kh kw, oh ow), in the working dtype."""
    groups, span = geometry.groups, geometry.span(positions, kernel)
    x = _place(x, geometry.padding, span).to(working_dtype(x.dtype))
    batch, channels = x.shape[:2]
    n, c, h, w = x.stride()
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    windows = x.as_strided(
        (batch, groups, channels // groups, *kernel, *positions),
        (n, c * (channels // groups), c, h * dh, w * dw, h * sh, w * sw),
    )
    return windows.reshape(batch, groups, channels // groups * _area(kernel), _area(positions))


def _taps(weight: Tensor, groups: int) -> Tensor:
    """The weight (O, C/G, kh, kw) as matrices (G, O/G, C/G kh kw), in the working dtype."""
    wide = weight.to(working_dtype(weight.dtype))
    return wide.reshape(groups, len(weight) // groups, weight[0].numel())


def _responses(y: Tensor, groups: int) -> Tensor:
    """The response (N, O, oh, ow) as matrices (N, G, O/G, oh ow), in the working dtype."""
    wide = y.to(working_dtype(y.dtype))
    return wide.reshape(len(y), groups, y.shape[1] // groups, _area(_size(y)))


def _place(x: Tensor, offset: Pair, size: Pair) -> Tensor:
    """The part of the plane of size `size` that x covers when laid at `offset`; zeros elsewhere."""
    (up, left), (height, width) = offset, size
    top, bottom = max(0, -up), min(x.shape[2], height - up)
    start, end = max(0, -left), min(x.shape[3], width - left)
    covered = x[:, :, top : max(top, bottom), start : max(start, end)]
    if _size(covered) == size:
        return covered
    placed = x.new_zeros(*x.shape[:2], height, width)
    if covered.numel():
        placed[:, :, top + up : bottom + up, start + left : end + left] = covered
    return placed


def _chunks(x: Tensor, kernel: Pair, positions: Pair) -> Iterator[slice]:
    """Slices of the batch whose windows take about CHUNK_BYTES, at least one sample each."""
    batch, channels = x.shape[:2]
    sample_bytes = working_dtype(x.dtype).itemsize * channels * _area(kernel) * _area(positions)
    step = max(1, CHUNK_BYTES // sample_bytes)
    return (slice(start, start + step) for start in range(0, batch, step))


def _size(tensor: Tensor) -> Pair:
    height, width = tensor.shape[2:]
    return height, width


def _area(size: Pair) -> int:
    return size[0] * size[1]
