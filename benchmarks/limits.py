"""What bounds the layers: the speed of a product, of a gather, of a call, each on its own.

torch.nn's convolutions are oneDNN's own kernels; torch.bmm goes to the BLAS that torch was built
with, and large products of the layers to oneDNN too. Where a kernel does more operations a second
than the product at its best, no arrangement of products of as many operations reaches it.
"""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.tables import show as show_table
from benchmarks.timing import take_turns
from scratch_layers.products import product
from scratch_layers.windows import CHUNK_BYTES


def measure() -> dict[str, float]:
    """GFLOP/s of products and of torch.nn.Conv2d's forward, ns a number gathered, us a call."""
    torch.set_num_threads(1)
    figures = {}
    for dtype, channels in (*((torch.float32, c) for c in (8, 16, 32, 64)), (torch.float64, 8)):
        # As wide as the windows of 10 pictures are in the layers, with 16 numbers to spare.
        numbers = CHUNK_BYTES // dtype.itemsize
        samples = max(1, min(10, numbers // (1024 * 9 * channels)))
        left = torch.randn(1, channels, 9 * channels, dtype=dtype)
        right = torch.randn(1, 9 * channels, 1024 * samples + 16, dtype=dtype)
        shape = f"{channels} x {9 * channels} x {right.shape[2]} {_short(dtype)}"
        operations = 2 * channels * right.numel()
        run = _calls(torch.bmm, left, right)
        figures[f"torch.bmm {shape}, GFLOP/s"] = operations / _nanoseconds(run)
        if dtype == torch.float32:
            run = _calls(product, left, right)
            figures[f"oneDNN {shape}, GFLOP/s"] = operations / _nanoseconds(run)
        name = f"torch.nn.Conv2d {channels} channels {_short(dtype)}, GFLOP/s"
        figures[name] = _convolution(channels, dtype)
    figures |= _gathers()
    one = torch.zeros(1)
    hundred = _nanoseconds(lambda: [one.add_(1) for _ in range(100)])
    figures["one call, us"] = 1e-5 * hundred
    return figures


def _convolution(channels: int, dtype: torch.dtype) -> float:
    """GFLOP/s of the forward of torch.nn.Conv2d 3 x 3 on 10 pictures of 32 x 32."""
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, dtype=dtype).requires_grad_(False)
    operations = 2 * 10 * 1024 * channels * 9 * channels
    return operations / _nanoseconds(_calls(layer, torch.randn(10, channels, 32, 32, dtype=dtype)))


def _gathers() -> dict[str, float]:
    """Nanoseconds a number: windows of a picture, and what upsampling by an index is made of."""
    figures, plane = {}, torch.randn(7, 16, 34, 34)
    for stride, size in ((1, 32), (2, 16)):
        matrix = torch.empty(16, 3, 3, 7, size, size)
        views = plane.unfold(2, 3, stride).unfold(3, 3, stride).permute(1, 4, 5, 0, 2, 3)
        taken = _nanoseconds(_calls(matrix.copy_, views))
        figures[f"im2col 3 x 3 stride {stride}, ns a number"] = taken / matrix.numel()
    picture, rows = torch.randn(10, 8, 32, 32), torch.arange(86) * 32 // 86
    turned = picture.transpose(2, 3)
    for name, run, numbers in (
        ("rows by index", _calls(picture.index_select, 2, rows), 80 * 86 * 32),
        ("columns turned into rows", turned.contiguous, picture.numel()),
    ):
        figures[f"{name}, ns a number"] = _nanoseconds(run) / numbers
    return figures


def _calls(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: function(*arguments)


def _nanoseconds(run: Callable[[], object]) -> float:
    return 1e6 * take_turns({"": run}, 0.2)[""]


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def show(result: dict[str, Any]) -> None:
    """One line a figure."""
    rows = ((name, f"{figure:.3g}") for name, figure in result["limits"].items())
    show_table("What bounds the layers, one thread", ("limit", "measured"), rows)
