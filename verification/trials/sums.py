"""Where sums of results in float64 were rounded: exact results may have sums that are not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def rounded(terms: Sequence[tuple[float, Tensor]]) -> Tensor:
    """Where the sum of factor times value, in their order, is finite and may have been rounded.

    Three times an integer of 52 bits takes 54. What an addition loses is known exactly (D. Knuth,
    *The Art of Computer Programming* 2, 4.2.2, theorem B); three times a value is exact if twice it
    less gives it back.
    """
    total = torch.zeros_like(terms[0][1])
    lost = torch.zeros_like(total, dtype=torch.bool)
    for factor, value in terms:
        term = factor * value
        if abs(math.frexp(factor)[0]) != 0.5:  # a power of two rounds nothing
            lost |= term - (factor - 1) * value != value
        before, total = total, total + term
        added = total - before
        lost |= (before - (total - added)) + (term - added) != 0
    return lost & total.isfinite()
