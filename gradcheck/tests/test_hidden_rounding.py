"""Functions that round to few digits inside: constant between jumps, and yet no step functions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gradcheck import check_gradients
from gradcheck.differences.noise import jump_sizes
from gradcheck.rounding import OUTPUT_ROUNDINGS, unit_roundoff

METHODS = ["full", "projection"]


class Straight(torch.autograd.Function):
    """Any function of a tensor, with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return function(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return grad_outputs[0], None


def through(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    result: Tensor = Straight.apply(x, function)
    return result


def half(x: Tensor) -> Tensor:
    return through(lambda x: x.half().to(x), x)


def brain(x: Tensor) -> Tensor:
    return through(lambda x: x.bfloat16().to(x), x)


def short(x: Tensor) -> Tensor:
    return through(lambda x: (x * 2**20).round() / 2**20, x)


ROUNDED: dict[str, Callable[[Tensor], Tensor]] = {
    "float16 at last": lambda x: half(x.tanh()),
    "float16 at first": lambda x: half(x).sin(),
    "bfloat16 at last": lambda x: brain(x.tanh()),
    "float16 within products": lambda x: half(x) @ half(x).T,
    "float16 beside the identity": lambda x: x + half(x.sin()),
    "fixed point": lambda x: short(x.sin()),
    "sum of fixed points": lambda x: short(x.sin()).sum(),
}


def numbers(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 5, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ROUNDED)
def test_what_rounds_inside_is_not_called_wrong(name: str, method: Any) -> None:
    for seed in range(2):
        for dtype in (torch.float64, torch.float32):
            report = check_gradients(ROUNDED[name], numbers(seed, dtype), method=method, seed=seed)
            assert report.ok, str(report)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [n for n in ROUNDED if n != "bfloat16 at last"])  # too few digits
def test_a_wrong_factor_is_found_among_the_jumps(name: str, method: Any) -> None:
    def wrong(x: Tensor) -> Tensor:
        right = ROUNDED[name](x)
        return right + (right - right.detach())

    assert not check_gradients(wrong, numbers(0), method=method).ok


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("function", [torch.round, torch.sign, lambda x: (4 * x).floor() / 4])
def test_a_step_function_has_the_gradient_0(function: Any, method: Any) -> None:
    x = numbers(1)
    assert not check_gradients(lambda x: through(function, x), x, method=method).ok
    assert check_gradients(lambda x: function(x) + 0 * x, x, method=method).ok


def test_jumps_are_told_from_kinks_and_curves() -> None:
    t = torch.linspace(-1, 1, 17, dtype=torch.float64)
    nothing = torch.zeros((), dtype=torch.float64)
    for smooth in (t, t.square(), t.exp(), t.relu(), (t - 0.3).abs(), t.clamp(-0.4, 0.7)):
        assert jump_sizes(smooth, nothing + unit_roundoff(torch.float64)) == 0
    places = torch.linspace(-4, 4, 4001, dtype=torch.float64)
    for spacing in (1e-5, 1e-3, 1e-2):  # points of inflection among them
        for f in (torch.sin, torch.tanh, torch.sigmoid, lambda x: x**3, lambda x: x.exp()):
            curves = f(places + spacing * torch.arange(17).double()[:, None])
            rounding = OUTPUT_ROUNDINGS * unit_roundoff(torch.float64) * curves.abs().amax(0)
            assert not jump_sizes(curves, rounding).any()
    stairs = torch.where(t > 0.3, 1.0, 0.0).to(t)
    assert jump_sizes(stairs, nothing) == 1
    assert jump_sizes(stairs + t.square(), nothing) == pytest.approx(1)
    assert jump_sizes(stairs, nothing + 0.3) == 0
