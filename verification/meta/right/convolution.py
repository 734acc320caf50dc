"""Convolutions that compute by another road. What they share is the contract alone: checks,
padding, groups, the sum of the bias gradient; the arithmetic is each one's own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from scratch_layers import Conv2d, Module
from scratch_layers.checks import working_dtype
from scratch_layers.module import Record


class Road(Conv2d):
    """A convolution without groups or padding is left to `correlate` and `pull_back`.

    Both see wide tensors: x (N, C, H, W), w (O, C, kh, kw), dy (N, O, oh, ow).
    """

    def correlate(self, x: Tensor, w: Tensor) -> Tensor:
        """y (N, O, oh, ow), without bias."""
        raise NotImplementedError

    def pull_back(self, x: Tensor, w: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
        """(dx, dw), of the shapes of x and w."""
        raise NotImplementedError

    def forward(self, input):
        used = self._accept(input)
        x = used["input"]
        self.output_size(x)
        parts = zip(self.pad(x).chunk(self.groups, 1), self._by_group(used["weight"]), strict=True)
        output = torch.cat([self.correlate(*part) for part in parts], 1)
        if "bias" in used:
            output = output + used["bias"].view(-1, 1, 1)
        output = output.to(x.dtype)
        self._record = Record(output, **used)
        return output

    def backward(self, grad_output):
        record, dy = self._recall(grad_output)
        x, weight = record.tensors["input"], record.tensors["weight"]
        parts = zip(
            self.pad(x).chunk(self.groups, 1),
            self._by_group(weight),
            dy.to(working_dtype(dy.dtype)).chunk(self.groups, 1),
            strict=True,
        )
        found = [self.pull_back(*part) for part in parts]
        self._accumulate(torch.cat([dw for _, dw in found]), dy)
        dx = torch.cat([dx for dx, _ in found], 1)
        (up, left), (height, width) = self._before, x.shape[2:]
        return dx[:, :, up : up + height, left : left + width].to(x.dtype, copy=True).contiguous()

    backward_parameters = Module.backward_parameters
    """Not Conv2d's, whose sums are in another order."""

    def pad(self, x):
        """The wide picture with its zeros around it."""
        (up, left), (down, right) = self._before, self._after
        return F.pad(x.to(working_dtype(x.dtype)), (left, right, up, down))

    def _by_group(self, weight):
        return weight.to(working_dtype(weight.dtype)).chunk(self.groups)

    def spread_out(self, dy: Tensor) -> Tensor:
        """The cotangent with stride - 1 zeros between its pixels."""
        (sh, sw), (oh, ow) = self.stride, dy.shape[2:]
        apart = dy.new_zeros(*dy.shape[:2], (oh - 1) * sh + 1, (ow - 1) * sw + 1)
        apart[:, :, ::sh, ::sw] = dy
        return apart

    def dense_kernel(self, w: Tensor) -> Tensor:
        """The kernel with its holes filled by zeros."""
        (dh, dw), (kh, kw) = self.dilation, w.shape[2:]
        dense = w.new_zeros(*w.shape[:2], dh * (kh - 1) + 1, dw * (kw - 1) + 1)
        dense[:, :, ::dh, ::dw] = w
        return dense


class ByColumns(Road):
    """im2col: one matrix product for all positions, and col2im on the way back."""

    def correlate(self, x, w):
        y = w.flatten(1) @ self._columns(x)
        size = zip(x.shape[2:], self.kernel_size, self.dilation, self.stride, strict=True)
        return y.view(*y.shape[:2], *((n - d * (k - 1) - 1) // s + 1 for n, k, d, s in size))

    def pull_back(self, x, w, dy):
        columns, flat = self._columns(x), dy.flatten(2)
        dw = (flat @ columns.transpose(1, 2)).sum(0).view(w.shape)
        back = w.flatten(1).t() @ flat
        return F.fold(back, x.shape[2:], *self._window()), dw

    def _columns(self, x):
        return F.unfold(x, *self._window())

    def _window(self):
        return self.kernel_size, self.dilation, 0, self.stride


class ByStrides(Road):
    """einsum over a view of the picture in which every window is there, without a copy."""

    def correlate(self, x, w):
        return torch.einsum("nchwuv,ocuv->nohw", self._windows(x, w, self.stride), w)

    def pull_back(self, x, w, dy):
        windows = self._windows(x, w, self.stride)[:, :, : dy.shape[2], : dy.shape[3]]
        dw = torch.einsum("nchwuv,nohw->ocuv", windows, dy)
        (dh, dv), (kh, kw) = self.dilation, w.shape[2:]
        around = F.pad(self.spread_out(dy), (dv * (kw - 1),) * 2 + (dh * (kh - 1),) * 2)
        flipped = w.flip(2, 3)
        seen = torch.einsum("nohwuv,ocuv->nchw", self._windows(around, w, (1, 1)), flipped)
        dx = torch.zeros_like(x)
        dx[:, :, : seen.shape[2], : seen.shape[3]] = seen
        return dx, dw

    def _windows(self, x, w, stride):
        (dh, dv), (kh, kw) = self.dilation, w.shape[2:]
        whole = x.unfold(2, dh * (kh - 1) + 1, stride[0]).unfold(3, dv * (kw - 1) + 1, stride[1])
        return whole[..., ::dh, ::dv]
