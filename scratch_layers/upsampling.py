"""NearestUpsampling at any positive scale, and Upsampling: nearest, then a convolution."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from scratch_layers import windows
from scratch_layers.checks import Device, Pair, image_batch, real_pair, working_dtype
from scratch_layers.convolution import Conv2d, Padding
from scratch_layers.module import Module, Record


class NearestUpsampling(Module):
    """Every output pixel is the input pixel that it falls on.

    y[n, c, i, j] = x[n, c, a(i), a(j)],  dx[n, c, p, q] = sum of dy[n, c, i, j] over a(i) = p,
    a(j) = q, with a from `source_index`. Input (N, C, H, W), output
    (N, C, floor(scale H), floor(scale W)).

    `scale_factor` is any positive number, or a pair (height, width) of them; below 1 it drops
    pixels. Whole ones go by stride, four times as fast as by index. Any floating dtype; 16-bit
    gradients are summed in float32 and rounded once.

    Raises TypeError or ValueError unless scale_factor is one or two finite numbers > 0, and from
    `forward` ValueError for an input without four axes or so small that no output is left.
    """

    def __init__(self, scale_factor: float | tuple[float, float]) -> None:
        self.scale_factor = rows, columns = real_pair("scale_factor", scale_factor)
        whole = rows.is_integer() and columns.is_integer()
        self._whole = (int(rows), int(columns)) if whole else None

    def forward(self, input: Tensor) -> Tensor:
        """The enlarged picture."""
        x = image_batch("input", input).detach()
        height, width = self.output_size(x)
        output = x.new_empty(*x.shape[:2], height, width)
        if self._whole:
            down, across = self._whole
            copies = output.view(*x.shape[:3], down, x.shape[3], across)
            for j in range(across):
                copies[:, :, :, 0, :, j] = x
            copies[:, :, :, 1:] = copies[:, :, :, :1]
        else:
            rows, columns = self._sources(x)
            for part, enlarged in zip(_chunks(x, output), _chunks(output, output), strict=True):
                tall = _turned(part).index_select(2, columns.sources)
                torch.index_select(_turned(tall), 2, rows.sources, out=enlarged)
        self._record = Record(output, input=x)
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """The cotangent summed over the output pixels of each input pixel."""
        record, dy = self._recall(grad_output)
        x = record.tensors["input"]
        if self._whole:
            down, across = self._whole
            sums = _every(3, across, _every(2, down, dy.to(working_dtype(dy.dtype))))
            dx = sums.to(dy.dtype, copy=self._whole == (1, 1))
        else:
            dx = dy.new_empty(x.shape)
            from_rows, from_columns = self._sources(x)
            for part, reduced in zip(_chunks(dy, dy), _chunks(dx, dy), strict=True):
                low = from_rows.sum(part.to(working_dtype(dy.dtype)))
                reduced.copy_(from_columns.sum(_turned(low)).transpose(2, 3))
        return dx

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

    def _sources(self, x: Tensor) -> tuple["Source", "Source"]:
        """Where rows and columns of the output come from."""
        sizes = x.shape[2:], self.output_size(x), self.scale_factor, (x.device, x.device)
        rows, columns = map(Source.of, *sizes)
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
        more = stride, padding, dilation, groups, bias, device, dtype
        super().__init__(in_channels, out_channels, kernel_size, *more)

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


class Source(NamedTuple):
    """Along one axis, the source pixel of every output pixel; and for k = 0, 1, ... which pixels
    have more than k outputs, and where the k-th of these is.
    """

    size: int
    sources: Tensor
    outputs: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    @lru_cache
    def of(cls, size: int, count: int, scale: float, device: torch.device) -> "Source":
        """For `count` outputs of `size` pixels; computed on the host, once for each size."""
        sources = source_index(size, count, scale)
        first: dict[int, int] = {}
        outputs: dict[int, list[tuple[int, int]]] = {}
        for place, pixel in enumerate(sources.tolist()):
            k = place - first.setdefault(pixel, place)
            outputs.setdefault(k, []).append((pixel, place))
        pairs = (torch.tensor(some, device=device).unbind(1) for some in outputs.values())
        return cls(size, sources.to(device), tuple((pixels, places) for pixels, places in pairs))

    def sum(self, dy: Tensor) -> Tensor:
        """dx[p] = sum of dy[i] over sources[i] = p along the rows of dy, in the order of i.

        No pixel stands twice in one index_add_, so that the order holds on any device.
        """
        (first, places), *others = self.outputs
        dx = dy.index_select(2, places)
        if dx.shape[2] < self.size:
            zeros = dy.new_zeros(*dy.shape[:2], self.size, dy.shape[3])
            dx = zeros.index_copy_(2, first, dx)
        for pixels, places in others:
            dx.index_add_(2, pixels, dy.index_select(2, places))
        return dx


def _every(axis: int, scale: int, dy: Tensor) -> Tensor:
    """The sum of each `scale` neighbours along `axis`, in their order; a view where it is 1."""
    stop = dy.shape[axis]
    dx = dy[(slice(None),) * axis + (slice(0, stop, scale),)]
    for k in range(1, scale):
        dx = dx + dy[(slice(None),) * axis + (slice(k, stop, scale),)]
    return dx


def _turned(picture: Tensor) -> Tensor:
    """Columns as rows. Rows are copied whole, columns number by number: with both turns, gathering
    48 columns of 32 takes 75 us for 10 x 8 pictures instead of 110.
    """
    return picture.transpose(2, 3).contiguous()


def _chunks(tensor: Tensor, larger: Tensor) -> tuple[Tensor, ...]:
    """The samples of `tensor`, so many at a time that those of `larger` stay in the cache."""
    sample = max(1, larger.itemsize * larger[:1].numel())
    return torch.split(tensor, max(1, windows.CHUNK_BYTES // sample))
