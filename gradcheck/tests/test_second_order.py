"""Second derivatives: right, wrong, cut off and refused are four outcomes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gradcheck import check_gradients, check_second_order


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Cube(torch.autograd.Function):
    """x^3 with a backward that autograd can differentiate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad_outputs[0]


class CutOff(Cube):
    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (3 * x.detach() ** 2 * grad_outputs[0].detach()).detach()


class Refused(Cube):
    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad_outputs[0]


class HalfCutOff(Cube):
    """The factor x is taken for a constant: right once, wrong twice."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x.detach() * x * grad_outputs[0]


def test_right_second_derivatives_pass() -> None:
    perceptron = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    for f, arguments in (
        (Cube, (numbers(5),)),
        (torch.sin, (numbers(3, 2),)),
        (torch.matmul, (numbers(3, 2), numbers(2, 4, seed=1))),
        (perceptron, (numbers(3, 4),)),
    ):
        report = check_second_order(f, *arguments)
        assert report.ok, str(report)
        assert report.undecided == 0


@pytest.mark.parametrize("function", [CutOff, Refused, HalfCutOff])
def test_all_are_right_once(function: Any) -> None:
    assert check_gradients(function, numbers(5)).ok
    assert not check_second_order(function, numbers(5)).ok


def test_a_wrong_double_backward_is_a_wrong_number() -> None:
    report = check_second_order(HalfCutOff, numbers(5))
    assert {mismatch.tensor for mismatch in report.mismatches} == {"input"}
    assert "all divided by 2" in str(report)


def test_cut_off_and_refused_are_no_wrong_numbers() -> None:
    for function, word in (
        (CutOff, "cut off"),
        (Refused, "refused by once_differentiable"),
    ):
        report = check_second_order(function, numbers(5))
        assert not report.mismatches
        assert word in str(report)


def test_what_autograd_does_not_differentiate_is_refused() -> None:
    with pytest.raises(TypeError, match="whose backward is not autograd's"):
        check_second_order((torch.sin, lambda x, g: g * x.cos()), numbers(3))
