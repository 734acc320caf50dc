"""The error analysis: its numbers against exact arithmetic, its bounds against real rounding."""

import math
from fractions import Fraction

import pytest
import torch

from gradcheck.rounding import (
    gamma,
    integer_amplitude,
    is_exact,
    significand_bits,
    underflow,
    unit_roundoff,
)

FORMATS = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}


@pytest.mark.parametrize(("dtype", "bits"), FORMATS.items())
def test_unit_roundoff_is_half_the_spacing_at_one(dtype: torch.dtype, bits: int) -> None:
    assert significand_bits(dtype) == bits
    assert unit_roundoff(dtype) == torch.finfo(dtype).eps / 2


def test_complex_counts_as_its_real_type() -> None:
    assert unit_roundoff(torch.complex64) == unit_roundoff(torch.float32)


def test_integers_have_no_roundoff() -> None:
    with pytest.raises(TypeError, match=r"dtype is torch.int32.*float64, float32"):
        unit_roundoff(torch.int32)


def test_gamma_is_its_formula_and_ends_where_the_analysis_does() -> None:
    u = unit_roundoff(torch.float32)
    assert gamma(1000, u) == pytest.approx(1000 * u / (1 - 1000 * u))
    assert gamma(1 / u, u) == math.inf
    assert gamma(torch.tensor([3.0, 1 / u]), u).tolist() == [gamma(3, u), math.inf]


@pytest.mark.parametrize("dtype", FORMATS)
def test_gamma_bounds_a_sum_in_the_worst_order(dtype: torch.dtype) -> None:
    """1 + u + u + ...: every addition loses its term, which is exactly what gamma allows."""
    terms = 9
    total = torch.ones((), dtype=dtype)
    tiny = torch.tensor(unit_roundoff(dtype), dtype=dtype)
    for _ in range(terms):
        total = total + tiny
    exact = 1 + terms * unit_roundoff(dtype)
    lost = exact - total.item()
    assert lost > 0
    assert lost <= gamma(terms, unit_roundoff(dtype)) * exact


@pytest.mark.parametrize("dtype", FORMATS)
def test_underflow_is_the_smallest_number(dtype: torch.dtype) -> None:
    smallest = torch.tensor(underflow(0, dtype), dtype=torch.float64).to(dtype)
    assert smallest > 0
    assert smallest / 2 == 0


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("terms", [1, 9, 72, 1152])
@pytest.mark.parametrize("degree", [2, 3])
def test_amplitude_is_the_largest_that_fits(dtype: torch.dtype, terms: int, degree: int) -> None:
    amplitude = integer_amplitude(terms, dtype, degree)
    half = 2 ** (FORMATS[dtype] - 1)
    assert terms * amplitude**degree <= half < terms * (amplitude + 1) ** degree


def test_amplitude_needs_a_term() -> None:
    with pytest.raises(ValueError, match="terms is 0"):
        integer_amplitude(0, torch.float32)


@pytest.mark.parametrize("dtype", FORMATS)
def test_exactness_ends_at_the_significand(dtype: torch.dtype) -> None:
    limit = 2 ** FORMATS[dtype]
    assert is_exact(limit, dtype)
    assert not is_exact(limit + 1, dtype)
    assert torch.tensor(float(limit), dtype=torch.float64).to(dtype).item() == limit
    beyond = Fraction(torch.tensor(float(limit + 1), dtype=torch.float64).to(dtype).item())
    assert dtype is torch.float64 or beyond != limit + 1
