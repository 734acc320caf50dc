"""Forward mode and vmap: judged where a subject offers them, and told apart from backward."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradcheck import check_gradients


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Cube(torch.autograd.Function):
    """x^3 w, with a forward mode and a vmap of its own; factors to get one of them wrong."""

    jvp_factor = 3.0
    vmap_factor = 1.0

    @staticmethod
    def forward(x: Tensor, w: Tensor) -> Tensor:
        return x**3 * w

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        x, w = ctx.saved_tensors
        return 3 * x**2 * w * grad_outputs[0], x**3 * grad_outputs[0]

    @classmethod
    def jvp(cls, ctx: Any, *tangents: Tensor) -> Tensor:
        x, w = ctx.saved_tensors
        return cls.jvp_factor * x**2 * w * tangents[0] + x**3 * tangents[1]


class OwnVmap(Cube):
    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, w: Tensor) -> Any:
        return Cube.apply(x, w), in_dims[0]


class WrongJvp(Cube):
    jvp_factor = 2.0


def test_what_a_function_offers_is_judged_and_said() -> None:
    report = check_gradients(torch.tanh, numbers(3, 4))
    assert report.ok
    assert report.modes == ("forward mode", "vmap")
    assert report.to_dict()["modes"] == ["forward mode", "vmap"]
    exact = check_gradients(torch.matmul, numbers(3, 4), numbers(4, 2))
    assert (exact.basis, exact.modes) == ("exact", ("forward mode", "vmap"))
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    assert check_gradients(module, numbers(2, 4)).modes == ("forward mode", "vmap")
    by_hand = check_gradients((torch.sin, lambda x, g: g * x.cos()), numbers(3))
    assert by_hand.modes == ()
    report = check_gradients(Cube, numbers(5), numbers(5, seed=1))
    assert (report.ok, report.modes) == (True, ("forward mode",))


def test_modes_that_given_bounds_leave_out_are_said() -> None:
    x = numbers(3, 4)
    alone = {"output": torch.ones(3, 4, dtype=torch.float64)}
    for given in ({"cotangents": alone}, {"evaluation_error": lambda inputs, parameters: alone}):
        report = check_gradients(torch.tanh, x, **given)
        assert (report.ok, report.modes) == (True, ())
        assert [text.split(":")[0] for text in report.modes_refused] == ["forward mode", "vmap"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_modes_of_16_bits(dtype: torch.dtype) -> None:
    arguments = numbers(5).to(dtype), numbers(5, seed=1).to(dtype)
    report = check_gradients(Cube, *arguments)
    assert (report.ok, report.modes, report.modes_refused) == (True, ("forward mode",), ())
    assert "by forward mode wrong" in str(check_gradients(WrongJvp, *arguments))
    assert "under vmap wrong" in str(check_gradients(Square, arguments[0]))


@pytest.mark.parametrize("method", ["auto", "full"])
def test_a_wrong_forward_mode_is_no_wrong_backward(method: Any) -> None:
    report = check_gradients(WrongJvp, numbers(5), numbers(5, seed=1), method=method)
    assert not report.ok
    assert {m.tensor for m in report.mismatches} == {"input_0"}
    assert {tensor.mode for tensor in report.tensors} == {"backward", "forward mode"}
    assert "gradient of WrongJvp by forward mode wrong along a random direction" in str(report)


class AffineWrongJvp(Cube):
    @staticmethod
    def forward(x: Tensor, w: Tensor) -> Tensor:
        return x * w

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        x, w = ctx.saved_tensors
        return w * grad_outputs[0], x * grad_outputs[0]

    @classmethod
    def jvp(cls, ctx: Any, *tangents: Tensor) -> Tensor:
        return ctx.saved_tensors[1] * tangents[0]


@pytest.mark.parametrize("method", ["auto", "full"])
def test_a_wrong_forward_mode_of_an_exact_map(method: Any) -> None:
    report = check_gradients(AffineWrongJvp, numbers(6), numbers(6, seed=1), method=method)
    assert [m.tensor for m in report.mismatches][:1] == ["input_1"]
    assert {t.tensor for t in report.tensors if t.mode == "forward mode"} == {"input_1"}


class Backward(torch.autograd.Function):
    """The gradient 2 g x, with a vmap that forgets the factor where many g come at once."""

    generate_vmap_rule = False

    @staticmethod
    def forward(x: Tensor, g: Tensor) -> Tensor:
        return 2 * g * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, g: Tensor) -> Any:
        return g * x, in_dims[1]


class Square(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return Backward.apply(*ctx.saved_tensors, *grad_outputs)


def test_gradients_that_are_wrong_only_under_vmap() -> None:
    assert torch.autograd.gradcheck(Square.apply, numbers(5).requires_grad_())
    report = check_gradients(Square, numbers(5))
    assert "input gradient of Square under vmap wrong" in str(report)
    assert [m.tensor for m in report.mismatches][:1] == ["input"]


def test_a_mode_that_is_refused_is_said_and_no_fault() -> None:
    class NoJvp(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 3 * x.sin()

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
            (grad,) = grad_outputs
            return 3 * grad + 0 * grad.sum().item()  # a number, which vmap has not got

    report = check_gradients(lambda x: NoJvp.apply(x.sin()).sin() * 0 + x, numbers(4))
    assert report.ok
    assert [refused.split(":")[0] for refused in report.modes_refused] == ["forward mode", "vmap"]
