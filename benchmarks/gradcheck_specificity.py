"""Specificity: right gradients at hard points, and how many of them are called wrong."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import scratch_layers as sl
from benchmarks.gradcheck_layers import MeanSquare
from gradcheck import check_gradients

_SHAPES = ((1, 2, 5, 4), (2, 3, 4, 6), (3, 2, 6, 5))


def _normal(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def _scaled(shape: tuple[int, ...]) -> Tensor:
    return _normal(shape) * 10.0 ** (12 * torch.rand(shape, dtype=torch.float64) - 6)


def _one_scale(shape: tuple[int, ...]) -> Tensor:
    return _normal(shape) * 10.0 ** float(12 * torch.rand(()) - 6)


def _at_kinks(shape: tuple[int, ...]) -> Tensor:
    return torch.randint(-2, 3, shape).double()


def _constant(shape: tuple[int, ...]) -> Tensor:
    return torch.full(shape, float(torch.randn(())), dtype=torch.float64)


def _empty(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(0, *shape[1:], dtype=torch.float64)


FAMILIES: dict[str, Callable[[tuple[int, ...]], Tensor]] = {
    "N(0, 1)": _normal,
    "every entry of its own scale, 1e-6 to 1e6": _scaled,
    "one scale, 1e-6 to 1e6": _one_scale,
    "integers from -2 to 2, on kinks": _at_kinks,
    "constant": _constant,
    "no samples": _empty,
}


def _cancelling(x: Tensor) -> Tensor:
    """The identity, less ten bits. (Beside 1e4 a small x would vanish, and with it the slope.)"""
    if not x.numel():
        return x
    beside = 1024 * x.detach().abs().max()
    return (beside + x) - beside


def subjects(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[tuple[str, Any]]:
    """Right subjects for inputs of ``shape``."""
    channels = shape[1]
    conv = sl.Conv2d(channels, 2, 3, stride=2, padding=1, dtype=dtype)
    yield "Conv2d", conv
    yield "ConvTranspose2d", sl.ConvTranspose2d(channels, 2, 2, stride=2, dtype=dtype)
    yield "NearestUpsampling", sl.NearestUpsampling(1.7)
    yield "ReLU", sl.ReLU()
    yield "Sigmoid", sl.Sigmoid()
    if shape[0]:
        yield "MSE", MeanSquare(torch.randn(shape, dtype=dtype))
    for activation in (sl.Sigmoid(), sl.ReLU()):
        second = sl.Conv2d(2, 2, 3, padding=1, dtype=dtype)
        yield f"conv-{activation}-conv", sl.Sequential(conv, activation, second)
    yield "log_softmax", lambda x: F.log_softmax(x, 1)
    yield "tanh", torch.tanh
    yield "cancellation", _cancelling
    yield "cancelling squares", lambda x: (x + 1) ** 2 - x**2
    yield "linear, tanh", nn.Sequential(nn.Linear(shape[-1], 4), nn.Tanh()).to(dtype)


def measure(entries: int) -> list[dict[str, Any]]:
    """Judge right gradients by every method until ``entries`` of Jacobians were covered."""
    rows = []
    for dtype in (torch.float64, torch.float32):
        covered, comparisons, undecided, seed = 0, 0, 0, 0
        alarms: list[str] = []
        while covered < entries:
            for family, draw in FAMILIES.items():
                torch.manual_seed(seed)
                shape = _SHAPES[seed % len(_SHAPES)]
                x = draw(shape).to(dtype)
                for name, f in subjects((*x.shape,), dtype):
                    report = check_gradients(f, x, seed=seed, method=("full", "auto")[seed % 2])
                    outputs = f(x).numel() if not hasattr(f, "forward") else f.forward(x).numel()
                    covered += outputs * sum(tensor.size for tensor in report.tensors)
                    comparisons += report.comparisons
                    undecided += report.undecided
                    if not report.ok:
                        alarms.append(f"{name}, {family}, seed {seed}: {report}")
            seed += 1
        rows.append(
            {
                "dtype": str(dtype).removeprefix("torch."),
                "jacobian_entries": covered,
                "comparisons": comparisons,
                "undecided": undecided,
                "false_alarms": alarms,
            }
        )
    return rows
