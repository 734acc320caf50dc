"""Pictures for a person: the held-out photograph before and after, and the losses."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from noise2noise.noise import psnr


def draw_photograph(path: Path, noisy: Tensor, denoised: Tensor, clean: Tensor) -> None:
    """Write a PNG of the three images side by side, each (1, 3, height, width)."""
    figure = Figure(figsize=(15, 5.4), layout="constrained")
    panels = [
        (f"noisy, {psnr(noisy, clean):.2f} dB", noisy),
        (f"denoised, {psnr(denoised, clean):.2f} dB", denoised),
        ("clean", clean),
    ]
    for axes, (title, image) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.imshow(image[0].permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


def draw_losses(path: Path, losses: Mapping[str, Sequence[float]], sigma: float) -> None:
    """Write a PNG of the loss of every step, one curve a name, the first one underneath."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for index, (name, values) in enumerate(losses.items()):
        width = 1 if index else 3  # where two curves agree, both stay visible
        axes.plot(range(1, len(values) + 1), values, linewidth=width, label=name)
    axes.axhline(
        sigma**2,
        color="black",
        linestyle="--",
        linewidth=1,
        label="σ²: the target's own noise, which no denoiser can predict",
    )
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("mean squared error against the noisy target")
    axes.legend()
    figure.savefig(path, dpi=100)
