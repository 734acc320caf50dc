"""The report's baseline: convolution and nearest upsampling as nested loops.

Slow and obviously right: one loop for each index of the formula, over batch, channels and
positions, one window at a time. They serve the tests as a third opinion and the benchmark as its
slow column. Arguments are taken as valid; sizes and names are those of Conv2d and
NearestUpsampling.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor

from scratch_layers.checks import Pair
from scratch_layers.upsampling import source_index


def conv2d_forward(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, padding: Pair = (0, 0), **geometry: Any
) -> Tensor:
    """y[n, o, i, j] = b[o] + the sum of w[o] times the window of x at (i, j); (N, O, oh, ow).

    `geometry` may hold stride, dilation and groups.
    """
    padded = _pad(x, padding)
    y = x.new_zeros(len(x), len(weight), *_positions(padded, weight, **geometry))
    for (n, o, i, j), window in _windows(padded, weight, **geometry):
        y[n, o, i, j] = (weight[o] * padded[window]).sum() + (0 if bias is None else bias[o])
    return y


def conv2d_backward(
    x: Tensor, weight: Tensor, grad_output: Tensor, padding: Pair = (0, 0), **geometry: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Send every dy[n, o, i, j] back to the window and weights it came from: (dx, dw, db)."""
    padded = _pad(x, padding)
    grad_padded, grad_weight = torch.zeros_like(padded), torch.zeros_like(weight)
    grad_bias = weight.new_zeros(len(weight))
    for (n, o, i, j), window in _windows(padded, weight, **geometry):
        dy = grad_output[n, o, i, j]
        grad_padded[window] += dy * weight[o]
        grad_weight[o] += dy * padded[window]
        grad_bias[o] += dy
    (up, left), (height, width) = padding, x.shape[2:]
    return grad_padded[:, :, up : up + height, left : left + width], grad_weight, grad_bias


def nearest_upsampling_forward(x: Tensor, scale_factor: tuple[float, float]) -> Tensor:
    """y[n, c, i, j] = x[n, c, a(i), a(j)]; (N, C, floor(scale H), floor(scale W))."""
    rows, columns = _sources(x, scale_factor)
    y = x.new_zeros(*x.shape[:2], len(rows), len(columns))
    for n, c in product(range(x.shape[0]), range(x.shape[1])):
        for (i, p), (j, q) in product(enumerate(rows), enumerate(columns)):
            y[n, c, i, j] = x[n, c, p, q]
    return y


def nearest_upsampling_backward(
    x: Tensor, grad_output: Tensor, scale_factor: tuple[float, float]
) -> Tensor:
    """dx: every dy[n, c, i, j] is added to the pixel it was copied from."""
    rows, columns = _sources(x, scale_factor)
    dx = torch.zeros_like(x)
    for n, c in product(range(x.shape[0]), range(x.shape[1])):
        for (i, p), (j, q) in product(enumerate(rows), enumerate(columns)):
            dx[n, c, p, q] += grad_output[n, c, i, j]
    return dx


def _pad(x: Tensor, padding: Pair) -> Tensor:
    (up, left), (height, width) = padding, x.shape[2:]
    padded = x.new_zeros(*x.shape[:2], height + 2 * up, width + 2 * left)
    padded[:, :, up : up + height, left : left + width] = x
    return padded


def _positions(
    padded: Tensor, weight: Tensor, stride: Pair = (1, 1), dilation: Pair = (1, 1), groups: int = 1
) -> Pair:
    oh, ow = (
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(padded.shape[2:], weight.shape[2:], stride, dilation, strict=True)
    )
    return oh, ow


def _windows(
    padded: Tensor, weight: Tensor, stride: Pair = (1, 1), dilation: Pair = (1, 1), groups: int = 1
) -> Iterator[tuple[tuple[int, int, int, int], tuple[int, slice, slice, slice]]]:
    """Every index (n, o, i, j) of the output, and the window of the padded picture it sums."""
    (oh, ow), fan = _positions(padded, weight, stride, dilation), weight.shape[1]
    for n, o, i, j in product(range(len(padded)), range(len(weight)), range(oh), range(ow)):
        first = o // (len(weight) // groups) * fan
        rows, columns = (
            slice(s * at, s * at + d * (k - 1) + 1, d)
            for at, k, s, d in zip((i, j), weight.shape[2:], stride, dilation, strict=True)
        )
        yield (n, o, i, j), (n, slice(first, first + fan), rows, columns)


def _sources(x: Tensor, scale_factor: tuple[float, float]) -> tuple[list[int], list[int]]:
    rows, columns = (
        source_index(size, int(size * scale), scale).tolist()
        for size, scale in zip(x.shape[2:], scale_factor, strict=True)
    )
    return rows, columns
