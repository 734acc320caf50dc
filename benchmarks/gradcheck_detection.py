"""Detection: the smallest relative error of one entry of a Jacobian that a checker finds."""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.gradcheck_layers import (
    AFFINE,
    LAYERS,
    OneWrongEntry,
    as_torch_function,
    example,
    jacobian_by_backward,
)
from gradcheck import check_gradients

_PER_DECADE = 4
_DECADES = 16


def _torch_finds(fast: bool) -> Callable[[Any, Tensor, int], bool]:
    def finds(layer: Any, x: Tensor, seed: int) -> bool:
        held = [p.data.clone().requires_grad_() for _, p in layer.named_parameters()]
        leaves = [x.clone().requires_grad_(), *held]
        try:
            torch.autograd.gradcheck(as_torch_function(layer), leaves, fast_mode=fast)
        except RuntimeError:
            return True
        return False

    return finds


def _ours_finds(layer: Any, x: Tensor, seed: int) -> bool:
    return not check_gradients(layer, x, seed=seed).ok


CHECKERS = {
    "torch slow": _torch_finds(fast=False),
    "torch fast": _torch_finds(fast=True),
    "ours": _ours_finds,
}


def smallest_found(finds: Callable[[float], bool]) -> float:
    """The smallest of 10^(-k/4) that is found, by bisection; infinity if not even 1 is."""
    if not finds(1.0):
        return float("inf")
    found, missed = 0, _DECADES * _PER_DECADE
    while missed - found > 1:
        middle = (found + missed) // 2
        if finds(10.0 ** (-middle / _PER_DECADE)):
            found = middle
        else:
            missed = middle
    return float(10.0 ** (-found / _PER_DECADE))


def measure(seeds: int) -> list[dict[str, Any]]:
    """Median and worst over ``seeds``, for every layer, dtype and checker.

    torch's checker is not asked in float32, where it calls right layers wrong; there the affine
    layers are looked at.
    """
    rows = []
    for dtype, layers, asked in (
        (torch.float64, tuple(LAYERS), tuple(CHECKERS)),
        (torch.float32, AFFINE, ("ours",)),
    ):
        for name in layers:
            found: dict[str, list[float]] = {checker: [] for checker in asked}
            for seed in range(seeds):
                _one_seed(name, seed, dtype, found)
            rows += [
                {
                    "layer": name,
                    "dtype": str(dtype).removeprefix("torch."),
                    "checker": checker,
                    "median": statistics.median(values),
                    "worst": max(values),
                    "seeds": seeds,
                }
                for checker, values in found.items()
            ]
    return rows


def _one_seed(name: str, seed: int, dtype: torch.dtype, found: dict[str, list[float]]) -> None:
    """Plant one error at an entry at least as large as the median, and let every checker look."""
    drawn = example(name, seed, dtype)
    sizes = jacobian_by_backward(drawn.layer, drawn.input).abs()
    large = (sizes >= sizes[sizes != 0].median()).nonzero()
    output, entry = large[int(torch.randint(len(large), (1,)))].tolist()
    for checker, values in found.items():

        def finds(share: float, checker: str = checker) -> bool:
            wrong = OneWrongEntry(drawn.layer, output, entry, share)
            return CHECKERS[checker](wrong, drawn.input, seed)

        values.append(smallest_found(finds))
