"""NearestUpsampling at any positive scale, and Upsampling: nearest, then a convolution."""

import math

import torch
from torch import Tensor

from scratch_layers.checks import Device, Pair, image_batch, real_pair, working_dtype
from scratch_layers.convolution import Conv2d, Padding
from scratch_layers.module import Module, Record


class NearestUpsampling(Module):
    """Every output pixel is the input pixel that it falls on.

    y[n, c, i, j] = x[n, c, a(i), a(j)],  dx[n, c, p, q] = sum of dy[n, c, i, j] over a(i) = p,
    a(j) = q, with a from `source_index`. Input (N, C, H, W), output
    (N, C, floor(scale H), floor(scale W)).

    `scale_factor` is any positive number, or a pair (height, width) of them; below 1 it drops
    pixels. Any floating dtype; 16-bit gradients are summed in float32 and rounded once.

    Raises TypeError or ValueError unless scale_factor is one or two finite numbers > 0, and from
    `forward` ValueError for an input without four axes or so small that no output is left.
    """

    def __init__(self, scale_factor: float | tuple[float, float]) -> None:
        self.scale_factor = real_pair("scale_factor", scale_factor)

    def forward(self, input: Tensor) -> Tensor:
        """The enlarged picture: input rows, then columns, gathered by index."""
        x = image_batch("input", input).detach()
        rows, columns = self._sources(x)
        output = x.index_select(2, rows).index_select(3, columns)
        self._record = Record(output, input=x)
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """The cotangent summed over the output pixels of each input pixel."""
        record, dy = self._recall(grad_output)
        x = record.tensors["input"]
        rows, columns = self._sources(x)
        dx = dy.to(working_dtype(dy.dtype))
        dx = _sum_by_source(dx, 2, rows, x.shape[2])
        return _sum_by_source(dx, 3, columns, x.shape[3]).to(dy.dtype)

    def output_size(self, input: Tensor) -> Pair:
        """(oh, ow) for an input; ValueError where one of them is 0."""
        rows, columns = (
            math.floor(size * scale)
            for size, scale in zip(input.shape[2:], self.scale_factor, strict=True)
        )
        if not (rows and columns):
            raise ValueError(
                f"input has shape {tuple(input.shape)}, which scale_factor {self.scale_factor} "
                f"shrinks to {rows} x {columns}; the output must be at least 1 x 1: "
                "use a larger input or scale_factor"
            )
        return rows, columns

    def _sources(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The input row of every output row, and the input column of every output column."""
        rows, columns = (
            source_index(size, count, scale, x.device)
            for size, count, scale in zip(
                x.shape[2:], self.output_size(x), self.scale_factor, strict=True
            )
        )
        return rows, columns

    def __repr__(self) -> str:
        return f"NearestUpsampling(scale_factor={self.scale_factor})"


class Upsampling(Conv2d):
    """Nearest upsampling by `scale_factor`, then a convolution of the larger picture.

    y = conv(nearest(x)), dx = nearest'(conv'(dy)). Input (N, in_channels, H, W); `weight`, `bias`
    and all arguments but scale_factor are Conv2d's. Raises what NearestUpsampling and Conv2d raise.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        scale_factor: float | tuple[float, float],
        stride: int | Pair = 1,
        padding: Padding = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.nearest = NearestUpsampling(scale_factor)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            device,
            dtype,
        )

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of the enlarged picture."""
        image_batch("input", input, self.in_channels)
        return super().forward(self.nearest.forward(input))

    def backward(self, grad_output: Tensor) -> Tensor:
        """Conv2d's backward, then the sum over each input pixel's copies."""
        return self.nearest.backward(super().backward(grad_output))

    def require_ready(self) -> Record:
        """The record of the convolution, after the same check of the upsampling."""
        self.nearest.require_ready()
        return super().require_ready()

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, scale_factor={self.nearest.scale_factor})"


def source_index(size: int, count: int, scale: float, device: Device = None) -> Tensor:
    """a(i) for i = 0 ... count - 1 into `size` pixels, as int64 (count,).

    i where count = size, i >> 1 where count = 2 size, otherwise min(floor(i (1/scale)), size - 1)
    with i, 1/scale and their product in float32 whatever the picture's dtype. This is the index of
    torch's upsample_nearest2d_backward; another rounding moves single pixels.
    """
    index = torch.arange(count, device=device)
    if count == size:
        return index
    if count == 2 * size:
        return index >> 1
    inverse = torch.tensor(1.0 / scale, dtype=torch.float32, device=device)
    return (index.to(torch.float32) * inverse).floor().to(torch.int64).clamp_(max=size - 1)


def _sum_by_source(dy: Tensor, axis: int, source: Tensor, size: int) -> Tensor:
    """dx[p] = sum of dy[i] over source[i] = p along `axis`, in the order of i."""
    shape = list(dy.shape)
    shape[axis] = size
    return dy.new_zeros(shape).index_add_(axis, source, dy)
