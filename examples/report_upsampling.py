"""Nearest upsampling with the report's backward, which sums whole s x s windows of the gradient.

Right for every integer scale. A window has a whole number of pixels, so a scale of 1.5 must be
rounded to 2, and from the third input pixel on the gradient goes to the wrong place. The README
shows how the suite finds it.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad, unfold


class ReportUpsampling:
    """y[n, c, i, j] = x[n, c, floor(i / s), floor(j / s)], of size floor(s H) x floor(s W).

    An axis whose size stays the same is left as it is.
    """

    def __init__(self, scale_factor: float | tuple[float, float]) -> None:
        pair = isinstance(scale_factor, tuple)
        self.scale = scale_factor if pair else (scale_factor, scale_factor)
        self.input_size = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, floor(s H), floor(s W))."""
        self.input_size = (x.shape[2], x.shape[3])
        rows, columns = map(_source_index, self.input_size, self.scale)
        return x[:, :, rows][:, :, :, columns]

    def backward(self, grad_output: Tensor) -> Tensor:
        """Each input pixel gets the sum of its window of s x s output pixels."""
        samples, channels, height, width = grad_output.shape
        window = [math.ceil(s) for s in self.scale]
        full = [size * k for size, k in zip(self.input_size, window, strict=True)]
        image = grad_output.reshape(samples * channels, 1, height, width)
        image = pad(image, (0, full[1] - width, 0, full[0] - height))
        sums = unfold(image, window, stride=window).sum(1)
        return sums.reshape(samples, channels, *self.input_size)


def _source_index(size: int, scale: float) -> Tensor:
    """For every output pixel of an axis, the input pixel that it copies."""
    output_size = math.floor(size * scale)
    if output_size == size:
        return torch.arange(size)
    return (torch.arange(output_size) / scale).long().clamp(max=size - 1)
