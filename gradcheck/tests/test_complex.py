"""Complex tensors by torch's convention, right and wrong."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gradcheck import check_gradients


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.complex128) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


RIGHT: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
    "product": (torch.mul, (numbers(3, 2), numbers(3, 2, seed=1))),
    "modulus": (torch.abs, (numbers(5),)),
    "conjugate": (torch.conj, (numbers(5),)),
    "exponential": (torch.exp, (numbers(2, 3),)),
    "a spectrum of real numbers": (torch.fft.rfft, (numbers(7, dtype=torch.float64),)),
    "and back": (torch.fft.irfft, (numbers(5),)),
    "real times complex": (torch.mul, (numbers(4, dtype=torch.float64), numbers(4, seed=1))),
    "single precision": (torch.sin, (numbers(4, dtype=torch.complex64),)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_torchs_gradients_are_right(name: str) -> None:
    f, arguments = RIGHT[name]
    report = check_gradients(f, *arguments)
    assert report.ok, str(report)
    assert report.undecided == 0
    assert report.comparisons > 0
    assert report.modes == ("forward mode", "vmap")


def product_vjp(z: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    return g * w.conj(), g * z.conj()


@pytest.mark.parametrize("forget", [0, 1])
def test_a_forgotten_conjugate_is_found(forget: int) -> None:
    def vjp(z: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        gradients = list(product_vjp(z, w, g))
        gradients[forget] = g * (w, z)[forget]
        return tuple(gradients)

    def product(z: Tensor, w: Tensor) -> Tensor:
        return z * w

    z, w = numbers(3, 2), numbers(3, 2, seed=1)
    assert check_gradients((product, product_vjp), z, w).ok
    report = check_gradients((product, vjp), z, w)
    assert {mismatch.tensor for mismatch in report.mismatches} == {"zw"[forget]}


def test_a_real_gradient_for_a_complex_input_is_told() -> None:
    report = check_gradients((torch.exp, lambda z, g: (g * z.exp().conj()).real), numbers(4))
    assert "input gradient has shape [4], its tensor [4, 2]" in str(report)


class NotConjugate(torch.autograd.Function):
    """The square, with a forward mode that conjugates what it should not."""

    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return z * z

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0].conj() * grad_outputs[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0].conj() * tangents[0]


def test_a_forward_mode_with_a_conjugate_too_many_is_found() -> None:
    report = check_gradients(NotConjugate, numbers(4))
    assert "gradient of NotConjugate by forward mode wrong" in str(report)


def test_given_cotangents_are_complex_too() -> None:
    z = numbers(4)
    assert check_gradients(torch.sin, z, cotangents={"output": numbers(4, seed=2)}).ok
