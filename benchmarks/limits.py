"""What bounds a convolution of matrix products: the speed of a product, of a gather, of a call.

torch.nn's convolutions are oneDNN's own kernels; torch.bmm goes to the BLAS that torch was built
with, and large products of the layers to oneDNN too. Where a kernel does more operations a second
than the product at its best, no arrangement of products of as many operations reaches it.
"""

from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import take_turns
from scratch_layers.products import product
from scratch_layers.windows import CHUNK_BYTES


def measure() -> dict[str, float]:
    """GFLOP/s of products and of torch.nn.Conv2d's forward, ns a number gathered, us a call."""
    torch.set_num_threads(1)
    figures = {}
    for channels in (8, 16, 32, 64):
        # As wide as the windows of 10 pictures are in the layers, with 16 numbers to spare.
        samples = max(1, min(10, CHUNK_BYTES // (4 * 1024 * 9 * channels)))
        left = torch.randn(1, channels, 9 * channels)
        right = torch.randn(1, 9 * channels, 1024 * samples + 16)
        operations = 2 * channels * right.numel()
        for name, multiply in (("torch.bmm", torch.bmm), ("oneDNN", product)):
            taken = take_turns({"": lambda f=multiply, a=left, b=right: f(a, b)}, 0.2)[""]
            shape = f"{channels} x {9 * channels} x {right.shape[2]}"
            figures[f"{name} {shape}, GFLOP/s"] = 1e-6 * operations / taken
        operations = 2 * 10 * 1024 * channels * 9 * channels
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1).requires_grad_(False)
        x = torch.randn(10, channels, 32, 32)
        taken = take_turns({"": lambda layer=layer, x=x: layer(x)}, 0.2)[""]
        figures[f"torch.nn.Conv2d {channels} channels, GFLOP/s"] = 1e-6 * operations / taken
    plane, matrix = torch.randn(7, 16, 34, 34), torch.empty(16, 3, 3, 7, 32, 32)
    views = plane.unfold(2, 3, 1).unfold(3, 3, 1).permute(1, 4, 5, 0, 2, 3)
    figures["im2col 3 x 3, ns a number"] = _nanoseconds(matrix, views)
    matrix = torch.empty(16, 3, 3, 7, 16, 16)
    views = plane.unfold(2, 3, 2).unfold(3, 3, 2).permute(1, 4, 5, 0, 2, 3)
    figures["im2col 3 x 3 stride 2, ns a number"] = _nanoseconds(matrix, views)
    one = torch.zeros(1)
    hundred = take_turns({"": lambda: [one.add_(1) for _ in range(100)]}, 0.1)[""]
    figures["one call, us"] = 10 * hundred
    return figures


def _nanoseconds(matrix: torch.Tensor, views: torch.Tensor) -> float:
    return 1e6 * take_turns({"": lambda: matrix.copy_(views)}, 0.1)[""] / matrix.numel()


def show(result: dict[str, Any], console: Console) -> None:
    """One line a figure."""
    shown = Table("limit", "measured", title="What bounds the layers on this machine, one thread")
    for name, figure in result["limits"].items():
        shown.add_row(name, f"{figure:.3g}")
    console.print(shown)
