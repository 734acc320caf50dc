"""What a function looks like along a line, from seven values: a class, a derivative, and its bound.

Every output is put into a class by how its first and second differences at x + t d, t in (+-h,
+-h/2, +-h/4), shrink with t:

- affine: first differences constant, second differences nothing but noise;
- quadratic: first differences constant, second differences proportional to t^2;
- smooth: errors shrink as h^2, so Richardson's extrapolation applies (C. Ridders 1982), and
  its last correction bounds what is left, with what second differences show of kinks;
- kink: straight on both sides of x, with two slopes; every value between them is a derivative;
- unresolved: none of these at this step.

Every linear combination of the seven values is a row of one small matrix, built from stencils, so
that the noise of each comes from its own weights.
"""

from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from gradcheck.differences.stencils import Stencil, stencil
from gradcheck.rounding import (
    ASYMPTOTIC_RATIO,
    CURVATURE_RATIO,
    EXTRAPOLATION_REST,
    HIDDEN_CUBIC,
    HIDDEN_KINK,
    gamma,
    unit_roundoff,
)

Basis = Literal["exact", "derived", "estimated"]
"""Where a bound comes from: arithmetic without rounding, an error analysis of this function, or
what was seen of it."""


class Kind(IntEnum):
    """What a function looks like along a line, from the best known to the least."""

    AFFINE = 0
    QUADRATIC = 1
    SMOOTH = 2
    KINK = 3
    UNRESOLVED = 4


@dataclass(frozen=True)
class Estimate:
    """Derivatives, each with a bound and a class: of M outputs along L lines, [L, M].

    The truth lies within ``bound`` of ``value`` (at a kink: every accepted derivative does).
    ``noise`` is the part of the bound that one evaluation's error makes, error / step.
    """

    value: Tensor
    bound: Tensor
    kind: Tensor
    noise: Tensor
    basis: Basis


_LEVELS = (Fraction(1), Fraction(1, 2), Fraction(1, 4))
GRID = (Fraction(0), *(sign * level for level in _LEVELS for sign in (1, -1)))
"""Where a line is probed, in units of its step."""

OFFSETS = torch.tensor([float(offset) for offset in GRID], dtype=torch.float64)
"""The same as numbers."""

ROOM = 2 * len(GRID)
"""Numbers to reckon with for every output on a line: its values, and what is made of them."""


def _row(rule: Stencil, scale: Fraction = Fraction(1)) -> list[Fraction]:
    """The weights of a stencil on GRID, times ``scale``."""
    weight = dict(zip(rule.offsets, rule.weights, strict=True))
    return [scale * weight.get(offset, Fraction(0)) for offset in GRID]


_FIRST = [_row(stencil((-t, t), 1)) for t in _LEVELS]
_SECOND = [_row(stencil((-t, 0, t), 2), t**2) for t in _LEVELS]  # not divided by the step
_FOUR_POINTS = [_row(stencil((-s, -t, t, s), 1)) for s, t in pairwise(_LEVELS)]
_SIX_POINTS = _row(stencil((-1, -_LEVELS[1], -_LEVELS[2], _LEVELS[2], _LEVELS[1], 1), 1))
_SLOPES = [_row(stencil((0, sign * t), 1)) for t in (_LEVELS[0], _LEVELS[2]) for sign in (1, -1)]


def _combine(*terms: tuple[int, list[Fraction]]) -> list[Fraction]:
    return [sum((c * row[i] for c, row in terms), Fraction(0)) for i in range(len(GRID))]


_NAMED_ROWS = {
    "first": _FIRST[0],  # derivative at level h
    "first_change": _combine((1, _FIRST[0]), (-1, _FIRST[1])),
    "first_span": _combine((1, _FIRST[0]), (-1, _FIRST[2])),
    "ratio": _combine((1, _FIRST[0]), (-5, _FIRST[1]), (4, _FIRST[2])),  # 0 for an h^2 error
    "second_0": _SECOND[0],
    "second_1": _SECOND[1],
    "second_2": _SECOND[2],
    "parabola_0": _combine((1, _SECOND[0]), (-4, _SECOND[1])),  # 0 for a parabola
    "parabola_1": _combine((1, _SECOND[1]), (-4, _SECOND[2])),
    "quartic": _combine((1, _SECOND[0]), (-20, _SECOND[1]), (64, _SECOND[2])),  # 0 for one
    "hinge_0": _combine((1, _SECOND[0]), (-2, _SECOND[1])),  # 0 for a kink at x
    "hinge_1": _combine((1, _SECOND[1]), (-2, _SECOND[2])),
    "six_points": _SIX_POINTS,
    "last_correction": _combine((1, _FOUR_POINTS[1]), (-1, _FOUR_POINTS[0])),
    "slope_right": _SLOPES[0],
    "slope_left": _SLOPES[1],
    "bend_right": _combine((1, _SLOPES[0]), (-1, _SLOPES[2])),  # 0 for a straight half
    "bend_left": _combine((1, _SLOPES[1]), (-1, _SLOPES[3])),
}
_ROWS = torch.tensor([[float(w) for w in row] for row in _NAMED_ROWS.values()], dtype=torch.float64)
_AMPLIFICATION = _ROWS.abs().sum(1).reshape(-1, 1, 1)
_PLACE = {name: place for place, name in enumerate(_NAMED_ROWS)}

SLOPE_BENT = float(_LEVELS[0] / (_LEVELS[0] - _LEVELS[2]))
"""How far a slope at level h is from that at the kink: for its change down to h / 4, if linear."""

SMOOTH_NOISE = float(
    _AMPLIFICATION[_PLACE["six_points"]] + HIDDEN_KINK * _AMPLIFICATION[_PLACE["parabola_0"]]
)
"""The error of a smooth entry, times the step, for an error of 1 in every value."""

KINKS_NOISE = float(HIDDEN_KINK * _AMPLIFICATION[_PLACE["quartic"]])
"""What many kinks that hide in the noise add to it."""


def classify(values: Tensor, error: Tensor, step: Tensor, basis: Basis) -> Estimate:
    """Derivatives at the middle of each line, from ``values`` [7, L, M] on GRID times ``step``.

    ``error`` bounds the error of every value, [L, M]; ``step`` is [L, 1].
    """
    # the combinations below are rounded as well
    error = error + gamma(len(GRID), unit_roundoff(torch.float64)) * values.abs().amax(0)
    table = (_ROWS @ values.reshape(len(GRID), -1)).reshape(-1, *values.shape[1:])
    sizes, noises = table.abs(), _AMPLIFICATION * error
    quiets = sizes <= noises
    seen, size, noise, quiet = (
        dict(zip(_NAMED_ROWS, rows, strict=True)) for rows in (table, sizes, noises, quiets)
    )
    flat = quiet["first_change"] & quiet["first_span"]
    is_kind = {
        Kind.KINK: quiet["hinge_0"]
        & quiet["hinge_1"]
        & quiet["bend_right"]
        & quiet["bend_left"]
        & ~quiet["second_2"],
        Kind.SMOOTH: (
            size["parabola_0"] <= CURVATURE_RATIO * size["second_0"] + noise["parabola_0"]
        )
        & (size["parabola_1"] <= CURVATURE_RATIO * size["second_1"] + noise["parabola_1"])
        & (size["ratio"] <= ASYMPTOTIC_RATIO * size["first_change"] + noise["ratio"]),
        Kind.QUADRATIC: flat & quiet["parabola_0"] & quiet["parabola_1"],
        Kind.AFFINE: flat & quiet["second_0"] & quiet["second_1"] & quiet["second_2"],
    }
    cubic = HIDDEN_CUBIC * (size["first_change"] + noise["first_change"])
    parabola = torch.maximum(size["parabola_0"], size["parabola_1"]) + noise["parabola_0"]
    kinks = HIDDEN_KINK * (size["quartic"] - noise["quartic"]).clamp(min=0.0)
    half_gap = (seen["slope_right"] - seen["slope_left"]).abs() / 2
    bend = torch.maximum(size["bend_right"], size["bend_left"]) + noise["bend_right"]
    answer = {
        Kind.KINK: (
            (seen["slope_right"] + seen["slope_left"]) / 2,
            half_gap + noise["slope_right"] + SLOPE_BENT * bend,
        ),
        Kind.SMOOTH: (
            seen["six_points"],
            EXTRAPOLATION_REST * size["last_correction"] + kinks + SMOOTH_NOISE * error,
        ),
        Kind.QUADRATIC: (seen["first"], noise["first"] + cubic + HIDDEN_KINK * parabola),
        Kind.AFFINE: (
            seen["first"],
            noise["first"] + cubic + (size["second_0"] + noise["second_0"]) / 2,
        ),
    }
    kind = torch.full_like(half_gap, Kind.UNRESOLVED, dtype=torch.int8)
    value, bound = torch.zeros_like(half_gap), torch.full_like(half_gap, torch.inf)
    for name, chosen in is_kind.items():  # the best known class comes last, and wins
        kind = torch.where(chosen, int(name), kind)
        value = torch.where(chosen, answer[name][0] / step, value)
        bound = torch.where(chosen, answer[name][1] / step, bound)
    return Estimate(value, bound, kind, error / step, basis)
