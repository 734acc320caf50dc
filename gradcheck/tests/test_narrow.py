"""16-bit gradients: right ones pass, gross faults are found, and what the bound is is said."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradcheck import check_gradients

DTYPES = [torch.float16, torch.bfloat16]


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


RIGHT: dict[str, Any] = {
    "tanh": lambda d: (torch.tanh, (numbers(4, 5, dtype=d),)),
    "product": lambda d: (product, (numbers(4, 6, dtype=d), numbers(6, 3, seed=1, dtype=d))),
    "softmax": lambda d: (lambda x: F.log_softmax(x, -1), (numbers(4, 5, dtype=d),)),
    "mean of many": lambda d: (lambda x: x.square().mean(), (numbers(400, dtype=d),)),
    "perceptron": lambda d: (
        nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2)).to(d),
        (numbers(3, 5, dtype=d),),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name: str, dtype: torch.dtype) -> None:
    f, arguments = RIGHT[name](dtype)
    for seed in range(5):
        report = check_gradients(f, *arguments, seed=seed)
        assert report.ok, str(report)
        assert report.basis == "estimated"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_where_backward_uses_a_rounded_output(dtype: torch.dtype) -> None:
    """1 - y^2 of a saturated tanh is 0 in 16 bits; a factor of 2 is seen all the same."""

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            y = x.tanh()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
            (y,) = ctx.saved_tensors
            return 2 * grad_outputs[0] * (1 - y * y)

    for f in (torch.tanh, torch.sigmoid, lambda x: x.softmax(-1)):
        for seed in range(6):
            x, y = numbers(4, 5, seed=seed, dtype=dtype), numbers(4, 5, seed=seed + 50, dtype=dtype)
            report = check_gradients(lambda x, y, f=f: f(2 * x * y), x, y, seed=seed)
            assert report.ok, str(report)
    assert check_gradients(Twice, numbers(4, 5, dtype=dtype)).mismatches


WRONG: dict[str, Any] = {
    "sign": lambda x, w, g: (-(g @ w.T), x.T @ g),
    "a factor 2": lambda x, w, g: (g @ w.T, 2 * (x.T @ g)),
    "the first row missing": lambda x, w, g: (g @ w.T, (x[1:].T @ g[1:])),
    "cotangent ignored": lambda x, w, g: (torch.ones_like(g) @ w.T, x.T @ g),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_are_found(name: str, dtype: torch.dtype) -> None:
    x, w = numbers(4, 6, dtype=dtype), numbers(6, 3, seed=1, dtype=dtype)
    right = check_gradients((product, lambda x, w, g: (g @ w.T, x.T @ g)), x, w)
    assert right.ok, str(right)
    assert check_gradients((product, WRONG[name]), x, w).mismatches


def test_what_runs_in_16_bits_only_is_refused() -> None:
    table = numbers(5, 3, dtype=torch.float16)
    with pytest.raises(TypeError, match=r"does not run in float64, by which torch\.float16"):
        check_gradients(lambda x: x @ table, numbers(2, 5, dtype=torch.float16))


def test_narrow_complex_numbers_are_refused() -> None:
    with pytest.warns(UserWarning, match="ComplexHalf"):
        z = torch.zeros(2, dtype=torch.complex32)
    with pytest.raises(TypeError, match="complex64 and complex128 can be judged"):
        check_gradients(torch.sin, z)
