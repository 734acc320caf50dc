"""What bounds a convolution of matrix products: the speed of a product, of a gather, of a call.

torch.nn's convolutions are oneDNN's own kernels; a matrix product goes to the BLAS that torch was
built with. Where the kernels do more operations a second than the product at its best, no
arrangement of products of the same number of operations reaches them.
"""

from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import take_turns


def measure() -> dict[str, float]:
    """GFLOP/s of products and of torch.nn.Conv2d's forward, ns a number gathered, us a call."""
    torch.set_num_threads(1)
    figures = {}
    square = torch.randn(1024, 1024)
    figures["product 1024 x 1024 x 1024, GFLOP/s"] = _gflops(2 * 1024**3, square, square)
    for channels in (8, 16, 32, 64):
        weight, windows = torch.randn(channels, 9 * channels), torch.randn(9 * channels, 1040)
        operations = 2 * 1024 * channels * 9 * channels
        figures[f"product {channels} x {9 * channels} x 1024, GFLOP/s"] = _gflops(
            operations, weight, windows[:, :1024]
        )
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1).requires_grad_(False)
        x = torch.randn(10, channels, 32, 32)
        taken = take_turns({"": lambda layer=layer, x=x: layer(x)}, 0.2)[""]
        figures[f"torch.nn.Conv2d {channels} channels, GFLOP/s"] = 1e-6 * 10 * operations / taken
    plane, matrix = torch.randn(2, 16, 34, 34), torch.empty(2, 16, 3, 3, 32, 32)
    views = plane.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 1, 4, 5, 2, 3)
    figures["im2col 3 x 3, ns a number"] = _nanoseconds(matrix, views)
    matrix = torch.empty(2, 16, 3, 3, 16, 16)
    views = plane.unfold(2, 3, 2).unfold(3, 3, 2).permute(0, 1, 4, 5, 2, 3)
    figures["im2col 3 x 3 stride 2, ns a number"] = _nanoseconds(matrix, views)
    one = torch.zeros(1)
    hundred = take_turns({"": lambda: [one.add_(1) for _ in range(100)]}, 0.1)[""]
    figures["one call, us"] = 10 * hundred
    return figures


def _gflops(operations: int, left: torch.Tensor, right: torch.Tensor) -> float:
    result = left @ right
    return 1e-6 * operations / take_turns({"": lambda: torch.mm(left, right, out=result)}, 0.2)[""]


def _nanoseconds(matrix: torch.Tensor, views: torch.Tensor) -> float:
    return 1e6 * take_turns({"": lambda: matrix.copy_(views)}, 0.1)[""] / matrix.numel()


def show(result: dict[str, Any], console: Console) -> None:
    """One line a figure."""
    shown = Table("limit", "measured", title="What bounds the layers on this machine, one thread")
    for name, figure in result["limits"].items():
        shown.add_row(name, f"{figure:.3g}")
    console.print(shown)
