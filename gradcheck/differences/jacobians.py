"""Numerical Jacobians along lines: a value, a bound and a class for every entry.

A function is probed at seven points of each line, and its outputs are classified. Where that is not
settled smaller steps follow, a few at a time, and the estimates at all steps become one. An entry
that is never resolved has an infinite bound.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradcheck.differences.classes import (
    KINKS_NOISE,
    OFFSETS,
    ROOM,
    SMOOTH_NOISE,
    Basis,
    Estimate,
    Kind,
    classify,
)
from gradcheck.differences.errors import ErrorBound
from gradcheck.differences.evaluation import CHUNK_ELEMENTS, Evaluator, as_double, power_of_two_near
from gradcheck.rounding import NATURAL_LENGTH, PLAUSIBLE_NOISE, significand_bits, unit_roundoff

_ODD_STEP = 2897 / 4096  # near sqrt(1/2): a step function with steps of 2^-q must not look straight
_STEPS_TOGETHER = 2  # what a smooth function needs after the first
_LITTLE = 8  # of all bounds: a smaller step that gains less is not worth its calls
_SHRINK = 8.0  # from one round to the next, so that their levels follow each other by halves


def jacobian_along(
    evaluator: Evaluator,
    name: str,
    directions: Tensor,
    error: ErrorBound,
    basis: Basis,
    thorough: bool,
) -> Estimate:
    """Derivatives of all outputs along ``directions`` [L, *shape] of one tensor, at the base point.

    Directions have largest absolute value 1. The first step is near the tensor's largest entry, of
    few bits, which keeps t d exact; lines whose outputs are not all settled are probed again
    with steps 8 times smaller, a few of them in one call. A larger step's entry is kept only if it
    agrees with every smaller one's. ``thorough`` takes all steps, whether they settle or not, and
    drops what may be an alias.
    """
    base = evaluator.tensor(name)
    steps = _step_sizes(base)
    units = int(directions.count_nonzero()) == len(directions)
    rounds: list[Estimate] = []
    lines = torch.arange(len(directions))
    landing = _Landing.along(base, directions)
    best = torch.full((len(directions), len(evaluator.base)), torch.inf, dtype=torch.float64)
    while steps and len(lines):
        table = ROOM * len(lines) * len(evaluator.base)
        # the first step alone settles what is affine or quadratic; and where every point takes a
        # call of its own, a step that turns out not to be needed is not taken
        several = rounds and evaluator.shares_calls(name)
        count = min(_STEPS_TOGETHER, max(1, CHUNK_ELEMENTS // table)) if several else 1
        now, steps = steps[:count], steps[count:]
        values = _probed(evaluator, name, directions[lines].to(base), now)
        deviation = error(now, values) + landing.rounding(values, lines, now)
        found = _classified(values, deviation, now, basis)
        counts = torch.ones(len(now) + 1, len(lines), dtype=torch.bool)
        if thorough:
            found = _only_trusted(found, now, base, values, deviation - error.jumps)
            if not units:
                found = _with_hidden_kinks(found)
        else:  # where a larger step settles a line, smaller ones do not count
            counts[1:] = _unsettled(found, best[lines]).cumprod(0)
            best[lines] = torch.minimum(best[lines], found.bound.amin(0))
        rounds += [
            _scatter(_at_step(found, step), lines, counts[step], len(directions))
            for step in range(len(now))
            if bool(counts[step].any())
        ]
        lines = lines[counts[-1]]
    return _merge(rounds)


def _probed(evaluator: Evaluator, name: str, moved: Tensor, steps: Sequence[float]) -> Tensor:
    """Values on GRID times every one of ``steps`` along ``moved`` [L, *shape]: [S, 7, L, M]."""
    sizes = torch.tensor(steps, dtype=torch.float64)
    offsets = sizes[:, None] * OFFSETS[1:]
    around = evaluator.values_on(name, moved, offsets.flatten())
    around = around.reshape(*offsets.shape, *around.shape[1:])
    middle = evaluator.base.expand(len(steps), 1, *around.shape[2:])
    return torch.cat([middle, around], 1)


def _classified(
    values: Tensor, deviation: Tensor, steps: Sequence[float], basis: Basis
) -> Estimate:
    """An estimate [S, L, M] of ``values`` [S, 7, L, M] that are off by ``deviation``."""
    count, _, lines, outputs = values.shape
    sizes = torch.tensor(steps, dtype=torch.float64).repeat_interleave(lines)[:, None]
    found = classify(values.transpose(0, 1).flatten(1, 2), deviation.flatten(0, 1), sizes, basis)
    shape = (count, lines, outputs)
    return Estimate(
        found.value.reshape(shape),
        found.bound.reshape(shape),
        found.kind.reshape(shape),
        found.noise.reshape(shape),
        basis,
    )


def _at_step(found: Estimate, step: int) -> Estimate:
    return Estimate(
        found.value[step], found.bound[step], found.kind[step], found.noise[step], found.basis
    )


def _step_sizes(base: Tensor) -> list[float]:
    """Steps from large to small: 8 in float64 (down to h / 2^24), 4 in float32 (h / 2^9).

    They start near the largest entry, and where that is larger than 1 they go on from 1.
    """
    count = math.ceil(significand_bits(base.dtype) / 6)
    first = power_of_two_near(base)
    natural = min(first, NATURAL_LENGTH)
    longer = (_ODD_STEP * first / _SHRINK**number for number in range(count))
    small = [_ODD_STEP * natural / _SHRINK**number for number in range(count)]
    if significand_bits(base.dtype) > significand_bits(torch.float32):
        del small[1]  # an error that falls as h^6 is not down to the noise of float64 there
    return [step for step in longer if step > small[0]] + small


def _natural_length(base: Tensor) -> float:
    """The shortest length over which a function of ``base`` is taken to vary.

    At large values not shorter than 2^(t/2) roundings: nobody computes with what varies faster.
    """
    spacing = power_of_two_near(base) * 2.0 ** -(significand_bits(base.dtype) // 2)
    return max(NATURAL_LENGTH, spacing)


def _only_trusted(
    found: Estimate, steps: Sequence[float], base: Tensor, values: Tensor, deviation: Tensor
) -> Estimate:
    """The estimate [S, L, M] without entries behind which another function may hide.

    A function below the noise is not seen, and its slope may be the noise over the natural length
    of ``base``. So longer steps count only with what is plainly affine, and are no better than
    that. And a noise level taken too high hides everything: it is believed where the ``deviation``,
    less jumps that were seen, is plausible as rounding of the ``values`` at that step, and where
    the slope stands out of it.
    Derived bounds need none of this.
    """
    if found.basis == "derived":
        return found
    natural = _natural_length(base)
    sizes = torch.tensor(steps, dtype=torch.float64)[:, None, None]
    reach = _finite_sizes(values).flatten(1).amax(1)[:, None, None]
    plausible = deviation <= PLAUSIBLE_NOISE * unit_roundoff(base.dtype) * reach
    far = sizes > natural
    trusted = plausible | (found.value.abs() > found.bound)
    trusted &= ~far | (found.kind == Kind.AFFINE)
    bound = found.bound + torch.where(far, found.noise * (sizes / natural), 0.0)
    return replace(
        found,
        bound=torch.where(trusted, bound, torch.inf),
        kind=torch.where(trusted, found.kind, int(Kind.UNRESOLVED)),
    )


def _with_hidden_kinks(found: Estimate) -> Estimate:
    """The estimate with room for the kinks of many entries, where their sum may look smooth."""
    hidden = torch.where(found.kind == Kind.SMOOTH, KINKS_NOISE * found.noise, 0.0)
    return replace(found, bound=found.bound + hidden)


@dataclass(frozen=True)
class _Landing:
    """How rounding x + t d to floating-point numbers moves points on lines; all fields are [L].

    Of the entries that move: how many, the sums of |x| and of x^2, and the direction's root mean
    square and its smallest entry.
    """

    dtype: torch.dtype
    count: Tensor
    reach: Tensor
    squares: Tensor
    mean_size: Tensor
    shortest: Tensor

    @classmethod
    def along(cls, base: Tensor, directions: Tensor) -> "_Landing":
        """That of ``directions`` [L, *shape] at ``base``."""
        sizes = as_double(directions.reshape(len(directions), -1)).abs()
        is_moved = (sizes != 0).to(torch.float64)
        count = is_moved.sum(1)
        reach = as_double(base).flatten().abs()
        return cls(
            base.dtype,
            count,
            is_moved @ reach,
            is_moved @ reach.square(),
            (sizes.square().sum(1) / count).sqrt(),
            torch.where(sizes > 0, sizes, torch.inf).amin(1),
        )

    def rounding(self, values: Tensor, lines: Tensor, steps: Sequence[float]) -> Tensor:
        """What it does to the values [S, 7, L, M] on ``lines``: [S, L, M].

        Entry i lands at most u (|x_i| + t) away, so an output moves by at most the norm of its
        gradient times the norm of that (Cauchy and Schwarz). Along one coordinate the difference
        quotient is the gradient. Along a random direction it is the gradient's norm times the
        direction's root mean square, by luck smaller; the largest over all lines is taken. A point
        may land so far away that it hardly moves: then the quotient is too small by that share, and
        says nothing where it is all.
        """
        sizes = torch.tensor(steps, dtype=torch.float64)
        count, t = self.count[lines], sizes[:, None]
        away = self.squares[lines] + 2 * t * self.reach[lines] + t.square() * count
        norms = _largest_slopes(values, sizes) / self.mean_size[lines, None]
        if count.max() > 1:
            norms = norms.amax(1, keepdim=True)
        shortest = t * self.shortest[lines]
        landing = unit_roundoff(self.dtype) * away.sqrt()
        return _landed(landing[:, :, None], shortest[:, :, None], norms)


def _largest_slopes(values: Tensor, sizes: Tensor) -> Tensor:
    """The steepest central difference quotient at every step, [S, L, M]."""
    spans = (2 * sizes[:, None] * OFFSETS[1::2]).reshape(len(sizes), -1, 1, 1)
    quotients = (values[:, 1::2] - values[:, 2::2]) / spans
    return _finite_sizes(quotients).amax(1)


def _finite_sizes(values: Tensor) -> Tensor:
    """Absolute values, 0 for what is not finite."""
    return torch.where(values.isfinite(), values.abs(), 0.0)


def _landed(landing: Tensor, length: Tensor, slopes: Tensor) -> Tensor:
    """The change by points that land up to ``landing`` beside a step of ``length``."""
    share = landing / length
    return torch.where(share < 1, landing * slopes / (1 - share), torch.inf)


def _scatter(estimate: Estimate, lines: Tensor, counts: Tensor, total: int) -> Estimate:
    """The estimate [L, M] for ``lines`` among ``total`` ones, known only where it ``counts``."""
    chosen = lines[counts]
    if len(chosen) == total:
        return estimate
    shape = (total, estimate.value.shape[1])
    value = torch.zeros(shape, dtype=torch.float64)
    bound = torch.full(shape, torch.inf, dtype=torch.float64)
    noise = torch.zeros(shape, dtype=torch.float64)
    kind = torch.full(shape, Kind.UNRESOLVED, dtype=torch.int8)
    value[chosen], bound[chosen] = estimate.value[counts], estimate.bound[counts]
    noise[chosen], kind[chosen] = estimate.noise[counts], estimate.kind[counts]
    return Estimate(value, bound, kind, noise, estimate.basis)


def _unsettled(found: Estimate, before: Tensor) -> Tensor:
    """Which lines deserve a smaller step than each of those ``found`` [S, L, M]: [S, L] of bool.

    Those with an unresolved entry, and those where extrapolation still gets better than the bounds
    ``before`` [L, M]: where the next step's noise is smaller by more than a little of all bounds.
    """
    best = torch.cat([before[None], found.bound]).cummin(0).values
    floor = _SHRINK * SMOOTH_NOISE * found.noise
    better = (found.kind == Kind.SMOOTH) & (found.bound < best[:-1])
    excess = torch.where(better, (found.bound - floor).clamp(min=0.0), 0.0)
    unresolved = (found.kind == Kind.UNRESOLVED).any(2)
    return unresolved | (excess.sum(2) > best[1:].sum(2) / _LITTLE)


def _merge(rounds: list[Estimate]) -> Estimate:
    """One estimate from several steps, from the smallest step up.

    A larger step's entry counts as long as its interval meets those of all smaller steps; among
    those that count the one with the smallest bound is taken. What was seen only from afar, across
    a kink or before the error falls as h^2, is dropped that way. Where a smaller step saw a kink,
    the one slope that a larger one saw is at best that of one side.
    """
    final = rounds[-1]
    value, bound, kind, noise = final.value, final.bound, final.kind, final.noise
    low, high = value - bound, value + bound
    counts, kinds = torch.ones_like(bound, dtype=torch.bool), final.kind
    for larger in reversed(rounds[:-1]):
        known = larger.bound.isfinite()
        meets = (larger.value - larger.bound <= high) & (larger.value + larger.bound >= low)
        counts = counts & (meets | ~known) & (kinds != Kind.KINK)
        kinds = torch.where(known, larger.kind, kinds)
        used = counts & known
        low = torch.where(used, torch.maximum(low, larger.value - larger.bound), low)
        high = torch.where(used, torch.minimum(high, larger.value + larger.bound), high)
        better = used & (larger.bound < bound)
        value = torch.where(better, larger.value, value)
        bound = torch.where(better, larger.bound, bound)
        kind = torch.where(better, larger.kind, kind)
        noise = torch.where(better, larger.noise, noise)
    return Estimate(value, bound, kind, noise, final.basis)
