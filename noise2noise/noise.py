"""Gaussian noise, and how much of it is left: the peak signal-to-noise ratio."""

import math

import torch
from torch import Tensor

# The standard deviation of the Noise2Noise paper's middle setting, on the scale from 0 to 1.
SIGMA = 50 / 255


def add_noise(clean: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Return `clean` plus independent Gaussian noise of standard deviation `sigma`, unclipped.

    Clipping to [0, 1] would move the noise's mean away from zero near black and white, and the
    mean over many noisy targets would no longer be the clean image.
    """
    noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
    return clean + sigma * noise


def psnr(estimate: Tensor, clean: Tensor) -> float:
    """Return 10 log10(1 / mean squared error) in decibels, for images from 0 to 1.

    Raises:
        ValueError: the shapes differ.
    """
    if estimate.shape != clean.shape:
        raise ValueError(
            f"estimate: shape {tuple(estimate.shape)} differs from clean's "
            f"{tuple(clean.shape)}; compare images of one shape"
        )
    error = (estimate.double() - clean.double()).square().mean().item()
    return -10 * math.log10(error) if error > 0 else math.inf
