"""Sums of exact results: the rounding of a sum is no fault, and sums without any stay exact."""

import math

import pytest
import torch

from verification.trials.sums import rounded

ODD = 2.0**52 - 1


@pytest.mark.parametrize(
    ("terms", "lost"),
    [
        ([(3, 5.0), (-2, 7.0)], False),
        ([(1, ODD), (-1, 1.0)], False),
        ([(3, ODD), (-2, ODD)], True),  # 3 (2^52 - 1) has 54 bits
        ([(3, -3450027307712469.0), (-2, -3450027307712469.0)], True),
        ([(1, 2.0**53), (1, 1.0)], True),
        ([(-2, ODD), (1, 0.0)], False),
        ([(1, math.inf), (1, 1.0)], False),
        ([(1, math.nan), (3, ODD)], False),
    ],
)
def test_rounding_is_seen(terms: list[tuple[float, float]], lost: bool) -> None:
    values = [(factor, torch.tensor([value], dtype=torch.float64)) for factor, value in terms]
    assert rounded(values).item() is lost
