"""Right convolutions whose rounding errors no bound of a plain sum covers, and wrong ones."""

import torch
from torch import fft, nn


class ByTransform:
    """A convolution of stride 1 by the Fourier transform of images and kernels."""

    def __init__(self, in_channels, out_channels, kernel_size):
        self.w = torch.randn(out_channels, in_channels, *_pair(kernel_size))
        self.b = torch.randn(out_channels)
        self.gw, self.gb = torch.zeros_like(self.w), torch.zeros_like(self.b)

    def param(self):
        return [(self.w, self.gw), (self.b, self.gb)]

    def forward(self, x):
        self.x, size = x, x.shape[2:]
        product = torch.einsum("nihw,oihw->nohw", fft.rfft2(x), fft.rfft2(self.w, size).conj())
        rows, columns = (n - k + 1 for n, k in zip(size, self.w.shape[2:], strict=True))
        return fft.irfft2(product, size)[:, :, :rows, :columns] + self.b[:, None, None]

    def backward(self, g):
        size = self.x.shape[2:]
        g_there = fft.rfft2(g, size)
        self.gb += g.sum((0, 2, 3))
        product = torch.einsum("nihw,nohw->oihw", fft.rfft2(self.x), g_there.conj())
        kh, kw = self.w.shape[2:]
        self.gw += fft.irfft2(product, size)[:, :, :kh, :kw]
        there = fft.rfft2(self.w, size)
        return fft.irfft2(torch.einsum("nohw,oihw->nihw", g_there, there), size)


class ByTransformWrong(ByTransform):
    """Transforms images a column short where their width is odd."""

    def forward(self, x):
        y = super().forward(x)
        return y * (1 + 1e-3 * (x.shape[3] % 2))


class ByProducts(nn.Module):
    """Winograd's F(2, 3): two neighbours of a row from four products and not six."""

    halves = 0.5

    def __init__(self, in_channels, out_channels, kernel_size):
        super().__init__()
        self.w = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.b = nn.Parameter(torch.randn(out_channels))

    def forward(self, x):
        y = sum(self._row(x[:, :, r : r + x.shape[2] - 2], self.w[:, :, r]) for r in range(3))
        return y + self.b[:, None, None]

    def _row(self, d, g):
        width = d.shape[3] - 2
        d = torch.nn.functional.pad(d, (0, width % 2)).unfold(3, 4, 2).unbind(-1)
        g0, g1, g2 = (g[..., i] for i in range(3))
        plus, minus = self.halves * (g0 + g1 + g2), self.halves * (g0 - g1 + g2)

        def times(data, kernel):
            return torch.einsum("nihw,oi->nohw", data, kernel)

        m1, m4 = times(d[0] - d[2], g0), times(d[1] - d[3], g2)
        m2, m3 = times(d[1] + d[2], plus), times(d[2] - d[1], minus)
        return torch.stack([m1 + m2 + m3, m2 - m3 - m4], -1).flatten(3)[..., :width]


class ByProductsWrong(ByProducts):
    halves = 0.499


def _pair(n):
    return n if isinstance(n, tuple) else (n, n)
