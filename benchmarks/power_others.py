"""The same wrong layers before what people use today: torch.autograd.gradcheck, slow and fast, and
one test by hand, torch.testing.assert_close on one typical configuration.

Both see the layer as it stands in most networks: padded 3 x 3 kernels with a stride, a few
channels, normal numbers. An optimiser has no gradient, and the rows' wrong twins are torch's own
autograd's: they are not asked of those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import scratch_layers as sl
from benchmarks.gradcheck_layers import MeanSquare, as_torch_function
from benchmarks.power_subjects import Wrong
from benchmarks.power_tables import OTHERS

UNSTRIDED = {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": 1}
CONV = UNSTRIDED | {"stride": 2}

TYPICAL: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "Conv2d": (CONV, (2, 3, 8, 8)),
    "ConvTranspose2d": (CONV | {"output_padding": 1}, (2, 3, 8, 8)),
    "NearestUpsampling": ({"scale_factor": 2}, (2, 3, 8, 8)),
    "Upsampling": (UNSTRIDED | {"scale_factor": 2}, (2, 3, 8, 8)),
    "FusedUpsampling": (UNSTRIDED | {"scale_factor": 2}, (2, 3, 8, 8)),
    "ReLU": ({}, (2, 3, 8, 8)),
    "Sigmoid": ({}, (2, 3, 8, 8)),
    "MSELoss": ({"reduction": "mean"}, (2, 3, 8, 8)),
    "Sequential": ({}, (2, 3, 8, 8)),
}
"""Arguments and the input's shape for each shipped kind that has a backward."""


def ask_others(wrong: Wrong) -> dict[str, str]:
    """For each, "found", "missed" or "not asked"."""
    if wrong.layer is None or wrong.kind not in TYPICAL:
        return dict.fromkeys(OTHERS, "not asked")
    checks: tuple[Callable[[Wrong], None], ...] = (_slow, _fast, _one_test)
    return {name: _verdict(check, wrong) for name, check in zip(OTHERS, checks, strict=True)}


def _verdict(check: Callable[[Wrong], None], wrong: Wrong) -> str:
    try:
        check(wrong)
    except Exception:
        return "found"
    return "missed"


def _layer(kind: str, make: Callable[..., Any], dtype: torch.dtype) -> tuple[Any, Tensor]:
    """A layer of the typical configuration with normal parameters, and its input."""
    arguments, shape = TYPICAL[kind]
    torch.manual_seed(0)
    if kind == "Sequential":
        layer = make(sl.Conv2d(3, 4, 3, padding=1), sl.ReLU(), sl.Conv2d(4, 2, 3)).to(dtype=dtype)
    else:
        layer = make(**arguments)
        layer = layer.to(dtype=dtype) if hasattr(layer, "to") else layer
    for parameter in getattr(layer, "parameters", list)():
        parameter.data = torch.randn_like(parameter.data)
    x = torch.randn(shape, dtype=dtype)
    if kind == "MSELoss":
        # Its second input is held, as in a training step.
        layer = MeanSquare(torch.randn(shape, dtype=dtype), layer)
    return layer, x


def _gradcheck(wrong: Wrong, fast: bool) -> None:
    layer, x = _layer(wrong.kind, wrong.layer, torch.float64)
    held = [p.data.clone().requires_grad_() for p in getattr(layer, "parameters", list)()]
    leaves = [x.requires_grad_(), *held]
    torch.autograd.gradcheck(as_torch_function(layer), leaves, fast_mode=fast)


def _slow(wrong: Wrong) -> None:
    _gradcheck(wrong, fast=False)


def _fast(wrong: Wrong) -> None:
    _gradcheck(wrong, fast=True)


def _one_test(wrong: Wrong) -> None:
    """Outputs and gradients of the wrong and of the right layer, at assert_close's tolerances."""
    results = []
    for make in (getattr(sl, wrong.kind), wrong.layer):
        layer, x = _layer(wrong.kind, make, torch.float32)
        y = layer.forward(x)
        torch.manual_seed(1)
        dx = layer.backward(torch.randn(y.shape))
        results.append([y, dx, *(p.grad for p in getattr(layer, "parameters", list)())])
    torch.testing.assert_close(results[1], results[0])
