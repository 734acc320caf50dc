"""Faults that torch.autograd.gradcheck passes, and right gradients that it calls wrong."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradcheck import check_gradients
from gradcheck.subjects import FunctionSubject


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def pair(f: Callable[..., Tensor], vjp: Callable[..., Tensor]) -> type[torch.autograd.Function]:
    """An autograd.Function of one input: what both checkers can judge."""

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return f(x)

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
            return vjp(*ctx.saved_tensors, *grad_outputs)

    return Pair


def torch_passes(function: type[torch.autograd.Function], x: Tensor, fast: bool) -> bool:
    leaf = x.clone().requires_grad_()
    return torch.autograd.gradcheck(
        function.apply, leaf, fast_mode=fast, check_undefined_grad=False, raise_exception=False
    )


def corner_zeroed(x: Tensor, g: Tensor) -> Tensor:
    gradient = nn.grad.conv2d_input(x.shape, KERNEL, g, padding=1)
    gradient[-1, -1, -1, -1] = 0
    return gradient


def one_of_256(x: Tensor, g: Tensor) -> Tensor:
    return g * x.cos() * torch.where(torch.arange(256) == 77, 11.0, 1.0)


KERNEL = numbers(3, 4, 3, 3, seed=9)
FAULTS: dict[str, tuple[Any, Tensor, bool]] = {
    "one entry of 256 eleven times too large": (
        pair(torch.sin, one_of_256),
        numbers(256),
        True,
    ),
    "a corner of a convolution's input gradient zeroed": (
        pair(lambda x: F.conv2d(x, KERNEL, padding=1), corner_zeroed),
        numbers(2, 4, 16, 16),
        True,
    ),
    "an all-zero gradient of a mean over 1000": (
        pair(lambda x: x.square().mean(), lambda x, g: torch.zeros_like(x)),
        0.1 * numbers(1000),
        True,
    ),
    "a gradient 1.0009 times too large": (
        pair(torch.exp, lambda x, g: 1.0009 * g * x.exp()),
        numbers(30),
        False,
    ),
    "a gradient of size 1e-6 zeroed": (
        pair(lambda x: 1e-6 * x, lambda x, g: torch.zeros_like(g)),
        numbers(30),
        False,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_torch_passes_is_found(name: str) -> None:
    function, x, fast = FAULTS[name]
    assert torch_passes(function, x, fast)
    for seed in range(5):
        report = check_gradients(function, x, seed=seed)
        assert not report.ok
        assert report.mismatches


class NoWeightGradient(torch.autograd.Function):
    """A linear layer that forgets its weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(w)
        return x @ w.T

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        (w,) = ctx.saved_tensors
        return grad_outputs[0] @ w, torch.zeros_like(w)


class Forgetful(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return NoWeightGradient.apply(input, self.weight)


def test_torch_never_looks_at_the_parameters_of_a_module() -> None:
    layer = Forgetful(4, 3, bias=False).double()
    x = numbers(2, 4)
    assert torch.autograd.gradcheck(layer, x.clone().requires_grad_())
    report = check_gradients(layer, x)
    assert {mismatch.tensor for mismatch in report.mismatches} == {"weight"}


def test_a_backward_that_writes_into_the_cotangent() -> None:
    function = pair(lambda x: 3 * x, lambda x, g: g.mul_(3))
    x = numbers(6)
    assert torch_passes(function, x, fast=False)
    assert "output was written to" in str(check_gradients(function, x))


def ignores_strides(x: Tensor, g: Tensor) -> Tensor:
    memory = torch.as_strided(g, (g.numel(),), (1,))
    return memory.reshape(g.shape) * x.cos()


def test_a_backward_that_ignores_the_strides_of_the_cotangent() -> None:
    """torch's cotangents are contiguous, so it cannot see this; ours come in two layouts."""
    function = pair(torch.sin, ignores_strides)
    x = numbers(4, 5)
    assert torch_passes(function, x, fast=False)
    report = check_gradients(function, x)
    assert {mismatch.tensor for mismatch in report.mismatches} == {"input"}


def test_a_result_cached_by_shape() -> None:
    """Right for ever at the point of its first call: it shows at a second one."""
    kept: dict[torch.Size, Tensor] = {}

    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return g * kept.setdefault(x.shape, x.cos())

    function = pair(torch.sin, vjp)
    x = numbers(4, 3)
    assert torch_passes(function, x, fast=False)
    report = check_gradients(function, x)
    assert report.mismatches
    assert "at a point close by" in str(report)


def test_right_gradients_that_torch_calls_wrong() -> None:
    large = 1e8 * numbers(20)
    square = pair(torch.square, lambda x, g: 2 * g * x)
    assert not torch_passes(square, large, fast=False)
    assert check_gradients(square, large).ok
    single = numbers(4, 6, dtype=torch.float32)
    layer = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    with pytest.warns(UserWarning, match="not a double precision"):
        assert not torch.autograd.gradcheck(
            layer, single.clone().requires_grad_(), raise_exception=False
        )
    assert check_gradients(layer, single).ok


def test_directions_that_cross_many_kinks() -> None:
    """Every entry is right, and a direction meets all their kinks; a wrong factor is still seen."""
    x = torch.tensor([0.0, 0.4421, 0.7996, 0.0, -0.3938, 0.5851, -0.3192, 0.607, 0.0])
    target = torch.tensor([0.7456, 0.3615, 0.7536, 0.3209, 0.1942, 1.0, 0.0, 0.0, 0.0])
    rounding = {"output": torch.tensor(8e-7, dtype=torch.float64)}

    def loss(x: Tensor) -> Tensor:
        return F.smooth_l1_loss(x, target, beta=0.5)

    def slope(x: Tensor, g: Tensor) -> Tensor:
        return g * ((x - target) / 0.5).clamp(-1, 1) / 9

    def judged(factor: float, seed: int) -> bool:
        function = FunctionSubject(loss, lambda x, g: factor * slope(x, g))
        return check_gradients(
            function, x, method="projection", seed=seed, evaluation_error=lambda i, p: rounding
        ).ok

    assert all(judged(1.0, seed) for seed in range(20))
    assert not any(judged(1.05, seed) for seed in range(20))


@pytest.mark.parametrize(("scale", "seeds"), [(1.0, (2, 33, 116)), (2.0**20, (10, 33, 40))])
def test_kinks_that_in_sum_look_smooth(scale: float, seeds: tuple[int, ...]) -> None:
    """330 kinks along a direction, near and far from 1; a wrong factor is still seen."""
    rounding = {"output": torch.tensor(2.0**-15 * scale, dtype=torch.float64)}
    narrow = 2.0**-16

    def judged(factor: float, seed: int) -> bool:
        generator = torch.Generator().manual_seed(seed)
        x, target = scale * torch.randn(2, 330, generator=generator)
        function = FunctionSubject(
            lambda x: F.huber_loss(x, target, delta=narrow * scale) / narrow,
            lambda x, g: factor * g * ((x - target) / narrow / scale).clamp(-1, 1) * scale / 330,
        )
        return check_gradients(
            function,
            x,
            cotangents={"output": torch.ones(())},
            method="projection",
            seed=seed,
            evaluation_error=lambda i, p: rounding,
            analytic_error={"input": torch.full_like(x, scale * 2.0**-29)},
        ).ok

    assert all(judged(1.0, seed) for seed in seeds)
    assert not any(judged(3.0, seed) for seed in seeds)
