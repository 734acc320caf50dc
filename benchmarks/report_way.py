"""The report's own convolution and upsampling: unfold, one matrix product, fold. For the tables."""

import torch.nn.functional as F
from torch import Tensor


class Conv2d:
    """Conv2d that keeps the unfolded input from forward to backward, as the report's does."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int = 1, padding: int = 0) -> None:
        self.weight, self.bias = weight, bias
        self.grad_weight, self.grad_bias = weight * 0, bias * 0
        self.window = {
            "kernel_size": tuple(weight.shape[2:]),
            "stride": stride,
            "padding": padding,
        }

    def forward(self, x: Tensor) -> Tensor:
        """The weight times the unfolded input."""
        self.size, self.columns = x.shape[2:], F.unfold(x, **self.window)
        (height, width), (kh, kw) = x.shape[2:], self.window["kernel_size"]
        stride, padding = self.window["stride"], self.window["padding"]
        oh, ow = (height + 2 * padding - kh) // stride + 1, (width + 2 * padding - kw) // stride + 1
        y = self.weight.flatten(1) @ self.columns + self.bias.view(-1, 1)
        return y.view(len(x), -1, oh, ow)

    def backward(self, grad_output: Tensor) -> Tensor:
        """The transposed products, folded back."""
        dy = grad_output.flatten(2)
        self.grad_weight += (dy @ self.columns.transpose(1, 2)).sum(0).view_as(self.weight)
        self.grad_bias += dy.sum((0, 2))
        return F.fold(self.weight.flatten(1).t() @ dy, self.size, **self.window)


class NearestUpsampling:
    """Upsampling by an integer: repeat, and for the gradient unfold with kernel (s, s) and sum."""

    def __init__(self, scale: int) -> None:
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Every pixel repeated along both axes."""
        self.shape = x.shape
        return x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)

    def backward(self, grad_output: Tensor) -> Tensor:
        """The sum over each square of copies."""
        squares = F.unfold(grad_output, self.scale, stride=self.scale)
        batch, channels = self.shape[:2]
        return squares.view(batch, channels, self.scale**2, -1).sum(2).view(self.shape)
