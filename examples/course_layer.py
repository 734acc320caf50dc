"""A convolution as one writes it for a course without autograd: im2col, and param().

The seeded fault: the weight gradient is a mean over the batch, where it must be a sum. With one
sample the two are the same. docs/your-own-layer.md shows how it is found.
"""

import torch
from torch import Tensor
from torch.nn.functional import fold, unfold


class MyConv:
    """y = W * x + b, (N, C, H, W) -> (N, O, (H - k) // s + 1, ...), without padding."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
    ) -> None:
        self.k = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        self.s = stride if isinstance(stride, tuple) else (stride, stride)
        self.w = torch.randn(out_channels, in_channels, *self.k)
        self.b = torch.randn(out_channels)
        self.gw, self.gb = torch.zeros_like(self.w), torch.zeros_like(self.b)

    def param(self) -> list[tuple[Tensor, Tensor]]:
        """(value, gradient) of the weight and of the bias."""
        return [(self.w, self.gw), (self.b, self.gb)]

    def forward(self, x: Tensor) -> Tensor:
        """The weight's rows times the windows of the image, as columns."""
        self.size = x.shape[2:]
        self.columns = unfold(x, self.k, stride=self.s)
        y = self.w.flatten(1) @ self.columns + self.b[:, None]
        rows = zip(self.size, self.k, self.s, strict=True)
        return y.unflatten(2, [(n - k) // s + 1 for n, k, s in rows])

    def backward(self, grad_output: Tensor) -> Tensor:
        """The gradient of x; those of the parameters are added to their buffers."""
        g = grad_output.flatten(2)
        self.gw += (g @ self.columns.transpose(1, 2)).mean(0).view_as(self.w)
        self.gb += g.sum((0, 2))
        return fold(self.w.flatten(1).T @ g, self.size, self.k, stride=self.s)
