"""Convolutions that multiply elsewhere: by Fourier's transform, and by Winograd's F(2x2, 3x3)."""

import math

import torch
import torch.nn.functional as F

from verification.meta.right.convolution import ByStrides, Road


def period(x):
    """The size of a picture, each axis raised to a power of two."""
    return tuple(1 << (n - 1).bit_length() for n in x.shape[2:])


class ByFourier(Road):
    """Correlation is a product of spectra, one of them conjugate; the picture is the period."""

    def correlate(self, x, w):
        size = period(x)
        spectrum = torch.einsum(
            "nchw,ochw->nohw", self._fft(x, size), self._fft(self.dense_kernel(w), size).conj()
        )
        full = self._back(spectrum, size)
        axes = zip(x.shape[2:], self.dilation, w.shape[2:], strict=True)
        height, width = (n - d * (k - 1) for n, d, k in axes)
        return full[:, :, : height : self.stride[0], : width : self.stride[1]]

    def pull_back(self, x, w, dy):
        size = period(x)
        apart = self._fft(self.spread_out(dy), size)
        dense = self._fft(self.dense_kernel(w), size)
        dx = self._back(torch.einsum("nohw,ochw->nchw", apart, dense), size)
        dw = self._back(torch.einsum("nchw,nohw->ochw", self._fft(x, size), apart.conj()), size)
        (kh, kw), (dh, dv) = w.shape[2:], self.dilation
        dw = dw[:, :, : dh * (kh - 1) + 1 : dh, : dv * (kw - 1) + 1 : dv]
        return dx[:, :, : x.shape[2], : x.shape[3]], dw

    def _fft(self, tensor, size):
        # MKL refuses a batch without samples.
        some = tensor if len(tensor) else tensor.new_zeros(1, *tensor.shape[1:])
        return torch.fft.rfft2(some, s=size)[: len(tensor)]

    def _back(self, spectrum, size):
        some = spectrum if len(spectrum) else spectrum.new_zeros(1, *spectrum.shape[1:])
        return torch.fft.irfft2(some, s=size)[: len(spectrum)]


B = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
G = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
A = ((1, 1, 1, 0), (0, 1, -1, -1))
"""F(2, 3): y = A ((G g) * (B d)); A. Lavin, S. Gray, "Fast algorithms for convolutional neural
networks", 2016, section 4.1. On both axes at once for two dimensions.
"""


def winograd(x, w, matrices):
    """Correlation with stride 1 of x (N, C, H, W) and w (O, C, kh, kw), 3 x 3 taps at a time."""
    a, b, g = (x.new_tensor(matrix) for matrix in matrices)
    height, width = (n - k + 1 for n, k in zip(x.shape[2:], w.shape[2:], strict=True))
    blocks = [math.ceil(k / 3) for k in w.shape[2:]]
    w = F.pad(w, (0, 3 * blocks[1] - w.shape[3], 0, 3 * blocks[0] - w.shape[2]))
    tiles = [math.ceil(n / 2) for n in (height, width)]
    needed = [2 * t + 2 + 3 * (p - 1) for t, p in zip(tiles, blocks, strict=True)]
    x = F.pad(x, (0, max(0, needed[1] - x.shape[3]), 0, max(0, needed[0] - x.shape[2])))
    y = x.new_zeros(len(x), len(w), 2 * tiles[0], 2 * tiles[1])
    for top in range(0, 3 * blocks[0], 3):
        for left in range(0, 3 * blocks[1], 3):
            seen = x[:, :, top : top + 2 * tiles[0] + 2, left : left + 2 * tiles[1] + 2]
            d = torch.einsum("pi,nchwij,qj->nchwpq", b, seen.unfold(2, 4, 2).unfold(3, 4, 2), b)
            k = torch.einsum("pi,ocij,qj->ocpq", g, w[:, :, top : top + 3, left : left + 3], g)
            m = torch.einsum("nchwpq,ocpq->nohwpq", d, k)
            y += torch.einsum("ip,nohwpq,jq->nohiwj", a, m, a).reshape(y.shape)
    return y[:, :, :height, :width]


class ByWinograd(ByStrides):
    """Fewer products, more sums; the weight gradient is the strided view's."""

    matrices = A, B, G

    def correlate(self, x, w):
        full = winograd(x, self.dense_kernel(w), self.matrices)
        return full[:, :, :: self.stride[0], :: self.stride[1]]

    def pull_back(self, x, w, dy):
        _, dw = super().pull_back(x, w, dy)
        dense = self.dense_kernel(w)
        height, width = dense.shape[2:]
        around = F.pad(self.spread_out(dy), (width - 1,) * 2 + (height - 1,) * 2)
        seen = winograd(around, dense.transpose(0, 1).flip(2, 3), self.matrices)
        dx = torch.zeros_like(x)
        dx[:, :, : seen.shape[2], : seen.shape[3]] = seen
        return dx, dw
