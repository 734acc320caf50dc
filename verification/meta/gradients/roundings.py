"""What is known of rounding, in numbers that can be counted."""

from __future__ import annotations

import math

import torch

from gradcheck.rounding import (
    gamma,
    integer_amplitude,
    is_exact,
    significand_bits,
    underflow,
    unit_roundoff,
)
from verification.meta.gradients.promise import Promise, holds, refuses

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
COMPLEX = {torch.complex128: torch.float64, torch.complex64: torch.float32}


def _formats() -> str:
    """Half the distance from 1 to the next number, and the number next to 0."""
    for dtype in (*DTYPES, *COMPLEX):
        zero, one = torch.tensor([0.0, 1.0]).to(COMPLEX.get(dtype, dtype))
        smallest, next_to_one = zero.nextafter(one).item(), one.nextafter(2 * one).item()
        sums = torch.tensor([0.0, 3.0], dtype=torch.float64)
        got = unit_roundoff(dtype), underflow(3, dtype), underflow(sums, dtype).tolist()
        if got != ((next_to_one - 1) / 2, 4 * smallest, [smallest, 4 * smallest]):
            return f"{dtype}: {got}"
    return ""


def _gamma() -> str:
    """n u / (1 - n u), and nothing is known from n u = 1 on."""
    expected = {0: 0.0, 2: 1.0, 3: 3.0, 4: math.inf, 6: math.inf}
    got = {n: gamma(n, 0.25) for n in expected}
    together = gamma(torch.tensor([*expected]), 0.25).tolist()
    return "" if got == expected and together == [*expected.values()] else f"{got}, {together}"


def _amplitudes() -> str:
    """The largest integers of which so many products fit half of 2^t."""
    for dtype in DTYPES:
        room = 2 ** (significand_bits(dtype) - 1)
        for terms in (1, 3, 9, 64, 500):
            for degree in (1, 2, 3):
                found = integer_amplitude(terms, dtype, degree)
                if not terms * found**degree <= room < terms * (found + 1) ** degree:
                    return f"{found} for {terms} terms of degree {degree} in {dtype}"
    found, twice = integer_amplitude(3, torch.float64), integer_amplitude(3, torch.float64, 2)
    return "" if found == twice else f"{found} where nothing is said of the degree"


def _exact() -> str:
    for dtype in DTYPES:
        most = 2.0 ** significand_bits(dtype)
        more = math.nextafter(most, math.inf)
        together = is_exact(torch.tensor([most, more], dtype=torch.float64), dtype).tolist()
        if [is_exact(most, dtype), is_exact(more, dtype)] != together or together != [True, False]:
            return f"{together} in {dtype}"
    return ""


PROMISES: tuple[Promise, ...] = (
    holds("rounding: formats", _formats),
    holds("rounding: sums", _gamma),
    holds("rounding: amplitudes", _amplitudes),
    holds("rounding: exact sums", _exact),
    refuses("a sum of nothing", lambda: integer_amplitude(0, torch.float64), ValueError, "s is 0:"),
    refuses("rounding of integers", lambda: significand_bits(torch.int8), TypeError, "dtype is"),
    refuses("underflow of integers", lambda: underflow(1, torch.int8), TypeError, "dtype is"),
)
