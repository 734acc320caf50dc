"""jacobian: known derivatives within their bounds, in the shapes that are promised."""

import math

import pytest
import torch
from torch import Tensor

from gradcheck import Kind, central, jacobian


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("dtype", "narrow"), [(torch.float64, 1e-8), (torch.float32, 2e-2)])
def test_a_jacobian_lies_within_its_bounds(dtype: torch.dtype, narrow: float) -> None:
    w = numbers(4, 2, seed=1, dtype=dtype)
    x = numbers(3, 4, dtype=dtype)
    found = jacobian(lambda x: (x @ w).tanh(), x)
    assert found.value.shape == (3, 2, 3, 4)
    slope = 1 / torch.cosh(x.double() @ w.double()) ** 2
    right = torch.einsum("rc,ic,rs->rcsi", slope, w.double(), torch.eye(3).double())
    assert bool(((found.value - right).abs() <= found.bound).all())
    assert found.bound.max() < narrow
    assert found.basis == "estimated"


def test_derivatives_along_directions() -> None:
    x, directions = numbers(5), 3 * numbers(2, 5, seed=1)
    found = jacobian(lambda x: (x * x).sum(), x, directions=directions)
    right = 2 * directions @ x
    assert found.value.shape == (2,)
    assert bool(((found.value - right).abs() <= found.bound).all())
    assert found.kind.tolist() == [Kind.QUADRATIC] * 2


def test_what_has_no_derivative_has_no_bound() -> None:
    found = jacobian(lambda x: x.abs().sqrt(), torch.zeros(1))
    assert found.bound.item() == math.inf
    assert found.kind.item() == Kind.UNRESOLVED


def test_a_second_derivative_by_a_stencil_with_the_step_that_its_noise_wants() -> None:
    rule, noise = central(3, 2), 4 * 2.0**-53  # sin's own rounding, and that of x + h

    def allowed(h: float) -> float:
        return rule.amplification * noise / h**2 + rule.truncation * h**2

    h = rule.step(noise, size=1.0)
    value = rule(torch.sin, torch.tensor(0.7).double(), h).item()
    assert abs(value + math.sin(0.7)) <= allowed(h)
    assert allowed(h) < min(allowed(0.8 * h), allowed(1.25 * h))


def test_refusals() -> None:
    with pytest.raises(TypeError, match=r"x has dtype torch.float16: it must be float64"):
        jacobian(torch.sin, numbers(3).half())
    for directions in (numbers(2, 4), torch.zeros(1, 3)):
        with pytest.raises(ValueError, match="no direction 0"):
            jacobian(torch.sin, numbers(3), directions=directions)
