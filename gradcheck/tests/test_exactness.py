"""Maps that are affine in every tensor: judged to the last bit, and only where that is sound."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gradcheck import GradientReport, check_gradients
from gradcheck.differences.lines import bits_and_count, random_lines, signed_integers
from gradcheck.verdicts.exactness import packed_lines

DTYPES = [torch.float64, torch.float32]


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


def product_vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    return g @ w.T, x.T @ g


def judged(f: Any, *arguments: Tensor, **options: Any) -> GradientReport:
    return check_gradients(f, *arguments, **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("method", ["auto", "full", "projection"])
def test_a_bilinear_map_is_judged_exactly(method: Any, dtype: torch.dtype) -> None:
    report = judged(
        (product, product_vjp),
        numbers(5, 7, dtype=dtype),
        numbers(7, 3, seed=1, dtype=dtype),
        method=method,
    )
    assert report.ok
    assert report.basis == "exact"
    assert {tensor.resolution for tensor in report.tensors} == {0.0}
    assert {tensor.where for tensor in report.tensors} == {"integers"}
    assert max(tensor.may_miss for tensor in report.tensors) < 1e-5


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_one_entry_of_the_jacobian_a_little_off_is_seen(dtype: torch.dtype, share: float) -> None:
    w = numbers(6, 4, seed=1, dtype=dtype)

    def vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        gradient, of_w = product_vjp(x, w, g)
        gradient[2, 3] += share * g[2, 1] * w[3, 1]
        return gradient, of_w

    for seed in range(5):
        x = numbers(4, 6, seed=seed, dtype=dtype)
        report = judged((product, vjp), x, w, method="full", seed=seed)
        assert [(m.tensor, m.entry) for m in report.mismatches] == [("x", (2, 3))]


def rounded_weights(dtype: torch.dtype) -> Any:
    def vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        return g @ w.to(dtype).to(w).T, x.T @ g

    return vjp


@pytest.mark.parametrize("narrow", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_cast_that_short_numbers_survive_is_seen_at_the_point_itself(narrow: Any) -> None:
    report = judged((product, rounded_weights(narrow)), numbers(5, 7), numbers(7, 3, seed=1))
    assert {mismatch.tensor for mismatch in report.mismatches} == {"x"}
    assert {tensor.where for tensor in report.tensors} == {"given"}


class StraightThrough(torch.autograd.Function):
    """Rounding, which is the identity on integers, with the identity's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (4 * x).round() / 4

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0]


def test_what_is_affine_on_quarters_only_is_judged_where_it_was_asked() -> None:
    assert not judged(StraightThrough, numbers(4, 5)).ok


def test_a_kink_away_from_the_point_is_no_fault() -> None:
    for f in (
        lambda x: torch.relu(x - 3) - torch.relu(3 - x),
        lambda x: x.clamp(-1e6, 1e6),
        lambda x: F.hardtanh(x, -5, 5),
    ):
        for seed in range(5):
            x = numbers(4, 5, seed=seed)
            assert judged(f, x, seed=seed).ok
            assert judged(f, 1e7 * x, seed=seed).ok


def test_a_backward_that_rounds_is_right_within_its_rounding() -> None:
    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return g * 12 / 3 * (1 / 3) * 3  # 4 g, up to rounding

    right = judged((lambda x: 4 * x, vjp), numbers(30))
    assert right.ok
    assert right.basis == "estimated"
    wrong = judged((lambda x: 4 * x, lambda x, g: vjp(x, g) * (1 + 1e-13)), numbers(30))
    assert not wrong.ok


def test_a_fault_at_one_value_of_the_parameters_is_no_fault_of_the_map() -> None:
    """Nonlinear in w, affine in x: no exact point, and right."""
    report = judged(lambda x, w: x * w.exp(), numbers(6), numbers(6, seed=1))
    assert report.ok
    assert report.basis == "estimated"


def test_packed_directions_show_every_entry_and_pairs_that_cancel() -> None:
    x = numbers(9)

    def off(errors: dict[int, float]) -> Any:
        def vjp(x: Tensor, g: Tensor) -> Tensor:
            gradient = 4 * g
            for entry, share in errors.items():
                gradient[entry] += share * g[entry]
            return gradient

        return lambda x: 4 * x, vjp

    lines = packed_lines(x)
    assert lines is not None
    assert lines.dense is not None
    assert len(lines) == 3
    assert lines.dense.count_nonzero() == 9
    assert bool(((lines.dense != 0).sum(0) == 1).all())
    for entry in range(9):
        wrong = judged(off({entry: 1e-13}), x, method="full")
        assert [m.entry for m in wrong.mismatches] == [(entry,)]
    together = judged(off({0: 1.0, 3: -1.0, 6: 256.0, 1: 0.5}), x, method="full")
    assert {m.entry for m in together.mismatches} == {(0,), (1,), (3,), (6,)}


def test_directions_have_no_small_entries() -> None:
    generator = torch.Generator().manual_seed(0)
    for bits in (3, 5, 12):
        drawn = signed_integers((2000,), bits, generator).abs()
        assert drawn.min() == 2 ** (bits - 1) + 1
        assert drawn.max() == 2**bits
    for dtype in DTYPES:
        lines = random_lines(numbers(3, 4, dtype=dtype), generator)
        assert len(lines) == bits_and_count(dtype)[1]
