"""FusedUpsampling: nearest upsampling by a whole number and a convolution, in one."""

import torch
from torch import Tensor

from scratch_layers.checks import Device, Pair, whole_pair
from scratch_layers.convolution import Conv2d, Padding
from scratch_layers.correlation import Geometry, by_group, spread, spread_gradients
from scratch_layers.module import Module, Record


class FusedUpsampling(Conv2d):
    """Upsampling by a whole number as one transposed convolution of the small picture, for speed.

    Copies of a pixel fill a square of s x s, and the kernel meets them with sums of its taps. So
    y is the transposed convolution of x, with stride s and the kernel

        v[t] = sum over u and 0 <= r < s with t = dilation (k - 1 - u) + r  of  w[u]

    on each axis: by 2 before 3 x 3, four products an output instead of nine, and no large picture.

    Parameters and results are Upsampling's, up to rounding. Only where something is not finite may
    they differ: an infinity times a sum of taps is an infinity, where single taps of both signs
    make a NaN, and NaN may spread further. scale_factor is an int or a pair, the stride is 1;
    everything else is as in Upsampling.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        scale_factor: int | Pair,
        padding: Padding = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.scale_factor = whole_pair("scale_factor", scale_factor, 1)
        more = padding, dilation, groups, bias, device, dtype
        super().__init__(in_channels, out_channels, kernel_size, 1, *more)
        axes = list(zip(self.scale_factor, self.dilation, self.kernel_size, strict=True))
        above, left = (d * (k - 1) - p for (_, d, k), p in zip(axes, self._before, strict=True))
        rows, columns = (_sums(*axis) for axis in axes)
        self._sums = torch.kron(rows, columns)
        kernel = rows.shape[1], columns.shape[1]
        self._small = Geometry(kernel, self.scale_factor, (above, left), (1, 1), self.groups)

    def forward(self, input: Tensor) -> Tensor:
        """The transposed convolution of the input with v, plus bias."""
        used = self._accept(input)
        x = used["input"]
        height, width = (n * s for n, s in zip(x.shape[2:], self.scale_factor, strict=True))
        size = self.output_size(x.new_empty((x.shape[0], 0, height, width)))
        v = self._kernel(used["weight"])
        output = spread(x, v, used.get("bias"), self._small, size)
        self._record = Record(output, **used)
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """The transposed convolution's backward; a tap of w collects from all sums it is in."""
        record, dy = self._recall(grad_output)
        v = self._kernel(record.tensors["weight"])
        dx, dv = spread_gradients(dy, v, record.tensors["input"], self._small)
        dw = by_group(dv, self.groups).transpose(1, 2).reshape(-1, v.shape[3]) @ self._sums.t()
        self._accumulate(dw.view(self.weight.grad.shape), dy)
        return dx

    backward_parameters = Module.backward_parameters
    """Nothing to leave out: both gradients come from the same windows."""

    def _kernel(self, weight: Tensor) -> Tensor:
        """The kernel v, (G, in_channels / G, out_channels / G, ...), from w (out_channels, ...)."""
        w = by_group(weight, self.groups)
        self._sums = self._sums.to(w.device, w.dtype)
        return (w @ self._sums).transpose(1, 2)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, scale_factor={self.scale_factor})"


def _sums(scale: int, dilation: int, kernel: int) -> Tensor:
    """The matrix (k, dilation (k - 1) + scale) with 1 where tap u of w is part of tap t of v."""
    u, t = torch.arange(kernel)[:, None], torch.arange(dilation * (kernel - 1) + scale)
    r = t - dilation * (kernel - 1 - u)
    return ((r >= 0) & (r < scale)).to(torch.float32)
