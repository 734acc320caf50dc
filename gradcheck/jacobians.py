"""Numerical Jacobians along lines: a value, a bound and a class for every entry.

A function is probed at x + t d for t in (+-h, +-h/2, +-h/4) and every output is put into a class by
how its first and second differences shrink with t:

- affine: first differences constant, second differences nothing but noise;
- quadratic: first differences constant, second differences proportional to t^2;
- smooth: errors shrink as h^2, so Richardson's extrapolation applies (C. Ridders 1982), and
  its last correction bounds what is left;
- kink: straight on both sides of x, with two slopes; every value between them is a derivative;
- unresolved: none of these at this step. Smaller steps follow, and an entry that is never resolved
  has an infinite bound.

Every linear combination of the seven values is a row of one small matrix, built from stencils, so
that the noise of each comes from its own weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from gradcheck.errors import ErrorBound
from gradcheck.evaluation import CHUNK_ELEMENTS, Evaluator, power_of_two_near
from gradcheck.rounding import (
    ASYMPTOTIC_RATIO,
    CURVATURE_RATIO,
    EXTRAPOLATION_REST,
    HIDDEN_CUBIC,
    HIDDEN_KINK,
    NATURAL_LENGTH,
    PLAUSIBLE_NOISE,
    gamma,
    significand_bits,
    unit_roundoff,
)
from gradcheck.stencils import Stencil, stencil

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

_OFFSETS = torch.tensor([float(offset) for offset in GRID], dtype=torch.float64)

_ODD_STEP = 2897 / 4096  # near sqrt(1/2): a step function with steps of 2^-q must not look straight
_STEPS_TOGETHER = 6  # what a smooth function needs after the first
_SHRINK = 8.0  # from one round to the next, so that their levels follow each other by halves


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

_SMOOTH_NOISE = float(
    _AMPLIFICATION[_PLACE["six_points"]] + HIDDEN_KINK * _AMPLIFICATION[_PLACE["parabola_0"]]
)


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
    half_gap = (seen["slope_right"] - seen["slope_left"]).abs() / 2
    bend = torch.maximum(size["bend_right"], size["bend_left"])
    answer = {
        Kind.KINK: (
            (seen["slope_right"] + seen["slope_left"]) / 2,
            half_gap + noise["slope_right"] + bend,
        ),
        Kind.SMOOTH: (
            seen["six_points"],
            EXTRAPOLATION_REST * size["last_correction"] + _SMOOTH_NOISE * error,
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


def jacobian_along(
    evaluator: Evaluator,
    name: str,
    directions: Tensor,
    error: ErrorBound,
    basis: Basis,
    thorough: bool = False,
    owners: Tensor | None = None,
) -> Estimate:
    """Derivatives of all outputs along ``directions`` [L, *shape] of one tensor, at the base point.

    Directions have largest absolute value 1. The first step is near the tensor's largest entry, of
    few bits, which keeps t d exact; lines whose outputs are not all settled are probed again
    with steps 8 times smaller, a few of them in one call. A larger step's entry is kept only if it
    agrees with every smaller one's. ``thorough`` takes all steps, whether they settle or not, and
    drops what may be an alias. ``owners`` [L, M], if given, are the only entries that the outputs
    depend on along each line of unit entries.
    """
    base = evaluator.tensor(name)
    steps = step_sizes(base)
    natural = _natural_length(base)
    rounds: list[Estimate] = []
    lines = torch.arange(len(directions))
    while steps and len(lines):
        table = (len(GRID) - 1) * len(lines) * (base.numel() + len(evaluator.base))
        # the first step alone settles what is affine or quadratic
        count = min(_STEPS_TOGETHER, CHUNK_ELEMENTS // max(1, table)) if rounds else 1
        now, steps = steps[: max(1, count)], steps[max(1, count) :]
        moved = directions[lines].to(base)
        values = _probed(evaluator, name, moved, now)
        deviation = torch.stack(
            [error(t, v).expand(v.shape[1:]) for t, v in zip(now, values, strict=True)]
        )
        if owners is None:
            deviation = deviation + _step_rounding(values, base, moved, now)
        else:
            deviation = deviation + _owned_rounding(values, base, owners[lines], now)
        estimates = _classified(values, deviation, now, basis)
        if thorough:
            rounding = unit_roundoff(base.dtype) * values.abs().nan_to_num(0.0, 0.0).amax()
            estimates = [
                _only_trusted(found, step, natural, off <= PLAUSIBLE_NOISE * rounding)
                for found, step, off in zip(estimates, now, deviation, strict=True)
            ]
        every = len(lines) == len(directions)
        rounds += estimates if every else [_scatter(e, lines, len(directions)) for e in estimates]
        if not thorough:
            lines = lines[_unsettled(rounds, lines)]
    return _merge(rounds)


def _probed(evaluator: Evaluator, name: str, moved: Tensor, steps: Sequence[float]) -> Tensor:
    """Values on GRID times every one of ``steps`` along ``moved`` [L, *shape]: [S, 7, L, M]."""
    base = evaluator.tensor(name)
    sizes = torch.tensor(steps, dtype=torch.float64)
    offsets = (sizes[:, None] * _OFFSETS[1:]).to(base)
    points = base + offsets.reshape(*offsets.shape, 1, *[1] * base.dim()) * moved
    around = evaluator.values(name, points.flatten(0, 2))
    around = around.reshape(*offsets.shape, len(moved), -1)
    middle = evaluator.base.expand(len(steps), 1, *around.shape[2:])
    return torch.cat([middle, around], 1)


def _classified(
    values: Tensor, deviation: Tensor, steps: Sequence[float], basis: Basis
) -> list[Estimate]:
    """One estimate [L, M] for every step, of ``values`` [S, 7, L, M] off by ``deviation``."""
    lines = values.shape[2]
    sizes = torch.tensor(steps, dtype=torch.float64).repeat_interleave(lines)[:, None]
    found = classify(values.transpose(0, 1).flatten(1, 2), deviation.flatten(0, 1), sizes, basis)
    parts = (torch.split(f, lines) for f in (found.value, found.bound, found.kind, found.noise))
    return [Estimate(v, b, k, n, basis) for v, b, k, n in zip(*parts, strict=True)]


def step_sizes(base: Tensor) -> list[float]:
    """Steps from large to small: 9 in float64 (down to h / 2^24), 4 in float32 (h / 2^9).

    They start near the largest entry, and again at 1 where that is larger.
    """
    count = (significand_bits(base.dtype) + 1) // 6
    first = power_of_two_near(base)
    steps = {_ODD_STEP * first / _SHRINK**number for number in range(count)}
    if first > NATURAL_LENGTH:
        steps |= {_ODD_STEP * NATURAL_LENGTH / _SHRINK**number for number in range(count)}
    return sorted(steps, reverse=True)


def _natural_length(base: Tensor) -> float:
    """The shortest length over which a function of ``base`` is taken to vary.

    At large values not shorter than 2^(t/2) roundings: nobody computes with what varies faster.
    """
    spacing = power_of_two_near(base) * 2.0 ** -(significand_bits(base.dtype) // 2)
    return max(NATURAL_LENGTH, spacing)


def _only_trusted(estimate: Estimate, step: float, natural: float, plausible: Tensor) -> Estimate:
    """The estimate without entries behind which another function may hide.

    A function below the noise is not seen, and its slope may be the noise over the ``natural``
    length. So longer steps count only with what is plainly affine, and are no better than that. And
    a noise level taken too high hides everything: it is believed where it is ``plausible`` as
    rounding of the values, and where the slope stands out of it. Derived bounds need none of this.
    """
    if estimate.basis == "derived":
        return estimate
    trusted = plausible | (estimate.value.abs() > estimate.bound)
    bound = estimate.bound
    if step > natural:
        trusted &= estimate.kind == Kind.AFFINE
        bound = bound + estimate.noise * (step / natural)
    return Estimate(
        estimate.value,
        torch.where(trusted, bound, torch.inf),
        torch.where(trusted, estimate.kind, int(Kind.UNRESOLVED)),
        estimate.noise,
        estimate.basis,
    )


def _step_rounding(values: Tensor, base: Tensor, moved: Tensor, steps: Sequence[float]) -> Tensor:
    """What rounding x + t d to a floating-point number does to the values, [S, L, M].

    Entry i lands at most u (|x_i| + t) away, so an output moves by at most the norm of its gradient
    times the norm of that (Cauchy and Schwarz). Along one coordinate the difference quotient is the
    gradient. Along a random direction it is the gradient's norm times the direction's root mean
    square, by luck smaller; the largest over all lines is taken. A point may land so far away that
    it hardly moves: then the quotient is too small by that share, and says nothing where it is all.
    """
    moved = moved.reshape(len(moved), -1).to("cpu", torch.float64)
    is_moved = (moved != 0).to(torch.float64)
    sizes = torch.tensor(steps, dtype=torch.float64)
    reach = base.abs().to("cpu", torch.float64).flatten() + sizes[:, None]
    landing = unit_roundoff(base.dtype) * (reach.square() @ is_moved.T).sqrt()
    slopes = _largest_slopes(values, sizes)
    count = is_moved.sum(1)
    mean_square = moved.square().sum(1) / count.clamp(min=1)
    norms = slopes / mean_square.sqrt()[:, None]
    if len(count) and count.max() > 1:
        norms = norms.amax(1, keepdim=True)
    shortest = moved.abs().where(moved != 0, torch.inf).amin(1)
    return _landed(landing[:, :, None], (sizes[:, None] * shortest)[:, :, None], norms)


def _owned_rounding(values: Tensor, base: Tensor, owners: Tensor, steps: Sequence[float]) -> Tensor:
    """The same where every output depends on one entry of a line, ``owners`` [L, M]."""
    sizes = torch.tensor(steps, dtype=torch.float64)
    reach = base.abs().to("cpu", torch.float64).flatten()[owners] + sizes[:, None, None]
    landing = unit_roundoff(base.dtype) * reach
    return _landed(landing, sizes[:, None, None], _largest_slopes(values, sizes))


def _largest_slopes(values: Tensor, sizes: Tensor) -> Tensor:
    """The steepest central difference quotient at every step, [S, L, M]."""
    spans = (2 * sizes[:, None] * _OFFSETS[1::2]).reshape(len(sizes), -1, 1, 1)
    quotients = (values[:, 1::2] - values[:, 2::2]) / spans
    return quotients.abs().nan_to_num(0.0, 0.0).amax(1)


def _landed(landing: Tensor, length: Tensor, slopes: Tensor) -> Tensor:
    """The change by points that land up to ``landing`` beside a step of ``length``."""
    share = landing / length
    return torch.where(share < 1, landing * slopes / (1 - share), torch.inf)


def _scatter(estimate: Estimate, lines: Tensor, count: int) -> Estimate:
    """The same estimate among ``count`` lines, of which it knows ``lines`` only."""
    shape = (count, estimate.value.shape[1])
    value = torch.zeros(shape, dtype=torch.float64)
    bound = torch.full(shape, torch.inf, dtype=torch.float64)
    noise = torch.zeros(shape, dtype=torch.float64)
    kind = torch.full(shape, Kind.UNRESOLVED, dtype=torch.int8)
    value[lines], bound[lines] = estimate.value, estimate.bound
    noise[lines], kind[lines] = estimate.noise, estimate.kind
    return Estimate(value, bound, kind, noise, estimate.basis)


def _unsettled(rounds: list[Estimate], lines: Tensor) -> Tensor:
    """Which of ``lines`` deserve a smaller step, [len(lines)] of bool.

    Those with an unresolved entry, and those where extrapolation still gets better: where what the
    bounds exceed the next step's noise by makes most of all bounds.
    """
    latest = rounds[-1]
    kind, bound = latest.kind[lines], latest.bound[lines]
    floor = _SHRINK * _SMOOTH_NOISE * latest.noise[lines]
    excess = torch.where(kind == Kind.SMOOTH, (bound - floor).clamp(min=0.0), 0.0)
    best = bound
    if len(rounds) > 1:
        best = torch.stack([earlier.bound[lines] for earlier in rounds[:-1]]).amin(0)
        excess = torch.where(bound < best, excess, 0.0)
        best = torch.minimum(bound, best)
    return (kind == Kind.UNRESOLVED).any(1) | (excess.sum(1) > best.sum(1) / 2)


def _merge(rounds: list[Estimate]) -> Estimate:
    """One estimate from several steps, from the smallest step up.

    A larger step's entry counts as long as its interval meets those of all smaller steps; among
    those that count the one with the smallest bound is taken. What was seen only from afar, across
    a kink or before the error falls as h^2, is dropped that way.
    """
    final = rounds[-1]
    value, bound, kind, noise = final.value, final.bound, final.kind, final.noise
    low, high = value - bound, value + bound
    counts = torch.ones_like(bound, dtype=torch.bool)
    for larger in reversed(rounds[:-1]):
        known = larger.bound.isfinite()
        meets = (larger.value - larger.bound <= high) & (larger.value + larger.bound >= low)
        counts = counts & (meets | ~known)
        used = counts & known
        low = torch.where(used, torch.maximum(low, larger.value - larger.bound), low)
        high = torch.where(used, torch.minimum(high, larger.value + larger.bound), high)
        better = used & (larger.bound < bound)
        value = torch.where(better, larger.value, value)
        bound = torch.where(better, larger.bound, bound)
        kind = torch.where(better, larger.kind, kind)
        noise = torch.where(better, larger.noise, noise)
    return Estimate(value, bound, kind, noise, final.basis)
