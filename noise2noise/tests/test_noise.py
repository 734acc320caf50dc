"""Gaussian noise is unclipped, and PSNR is what its formula says."""

import math

import pytest
import torch

from noise2noise.noise import SIGMA, add_noise, psnr


def test_noise_is_neither_clipped_nor_added_in_place():
    clean = torch.cat([torch.zeros(500), torch.ones(500)])
    noisy = add_noise(clean, SIGMA, torch.Generator().manual_seed(0))
    assert noisy.min() < 0 < 1 < noisy.max()
    assert clean.unique().tolist() == [0, 1]


@pytest.mark.parametrize("error", [0.5, 0.25])
def test_psnr_of_a_constant_error(error):
    clean = torch.full((2, 3, 4, 5), 0.5)
    assert psnr(clean + error, clean) == -10 * math.log10(error**2)


def test_psnr_of_the_image_itself_is_infinite():
    assert psnr(torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 2)) == math.inf


def test_psnr_does_not_broadcast():
    with pytest.raises(ValueError, match=r"estimate: shape \(1, 3, 2, 2\) .* \(1, 1, 2, 2\)"):
        psnr(torch.ones(1, 3, 2, 2), torch.ones(1, 1, 2, 2))
