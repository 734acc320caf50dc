"""Do claimed derivatives fit central differences as well as rounding lets them?

Steps get shorter from one rung to the next, and differences are extrapolated (C. Ridders 1982)
until a value agrees with the claim within the rounding that is to be expected of it. No bound
contains a truncation error: a value that is still off by one does not agree, and neither does a
wrong claim. So the answer is yes, or nothing is known and somebody has to look more closely. And so
the rounding that is expected may be that of independent errors, the root of their squares' sum:
where it is too small a right claim costs more time, and that is all. One value is expected to err
by ``OUTPUT_ROUNDINGS`` of its size, ``NOISE_SAFETY`` times.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property

import torch
from torch import Tensor

from gradcheck.differences.stencils import stencil
from gradcheck.rounding import (
    HIDING,
    NATURAL_LENGTH,
    NOISE_SAFETY,
    OUTPUT_ROUNDINGS,
    significand_bits,
    unit_roundoff,
)

FIRST_STEP = 2897 / 4096
"""Near sqrt(1/2): a step function with steps of 2^-q must not look straight."""

_BATCHES = ((3, 4, 5, 6), (8, 10, 12))
"""Rungs below the natural length that are taken together. Four that are close settle what is smooth
at 1/64 of that length, where rounding is still small; those that follow are for kinks close by."""

_STRAIGHT = 2  # rungs that leave no truncation to a polynomial of degree four
_STARTS = 2  # windows begin with the first rung or the next: what fits only far below is coarse

Rungs = tuple[int, ...]
"""Numbers n of steps FIRST_STEP / 2^n, the longest step first."""


@dataclass(frozen=True)
class Claim:
    """Derivatives ``slopes`` [K, L] of ``weights`` [K, M] times a function, along L lines.

    ``values`` [M] are the function's at x. ``landing`` and ``sizes`` [T, K, L] are the roots of the
    sums of (g x)^2 and (g s)^2 over the entries of each of T tensors, g the claimed gradient and s
    the size of a step: what is rounded on the way to a point, and in g. ``dtype`` is that with the
    fewest bits, ``length`` a step by 1 along the lines, at its longest.
    """

    slopes: Tensor
    weights: Tensor
    values: Tensor
    landing: Tensor
    sizes: Tensor
    dtype: torch.dtype
    length: float

    @cached_property
    def rounding(self) -> Tensor:
        """The square of what every output's rounding is in the weighted function, [K, M]."""
        unit = NOISE_SAFETY * OUTPUT_ROUNDINGS * unit_roundoff(self.dtype)
        return (unit * self.weights * self.values).square()


@dataclass
class Agreed:
    """What the differences say: ``value`` and ``bound`` [K, L], infinite where that is not known.

    On ``lines`` [L] it is what is ``claimed`` [K, L]. ``rungs`` were needed to know it.
    """

    claimed: Tensor
    value: Tensor
    bound: Tensor
    lines: Tensor
    rungs: Rungs = ()
    straight: bool = False
    """Whether the function looks like a polynomial of low degree along every line."""


Probe = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(steps t [S], numbers of lines [P]) -> f(x + t d) and f(x - t d), both [S, P, M] float64."""


def climb_down(claim: Claim, probe: Probe) -> Agreed:
    """Look for agreement, from the longest step downwards.

    A line is given up where an extrapolation fits the next one and not the claim, and where most
    outputs are straight and others bend: between kinks one by one is better.
    """
    agreed = Agreed(
        claim.slopes,
        claim.slopes.clone(),
        torch.full_like(claim.slopes, torch.inf),
        torch.zeros(claim.slopes.shape[1], dtype=torch.bool),
    )
    still = _Open.at_first(claim)
    taken: Rungs = ()
    needed: set[range] = set()
    for batch in _batches(claim.dtype, claim.length):
        taken += batch
        rules = _rules(taken)
        ahead, back = probe(rules.steps[-len(batch) :], still.lines)
        still.add(ahead, back)
        settled, which = still.settle(rules, agreed)
        needed |= {rules.windows[rule] for rule in which}
        if which:
            rest = ~settled
            still, ahead, back = still.where(rest), ahead[:, rest], back[:, rest]
        if len(still.lines):
            still = still.where(~_between_kinks(claim, ahead, back))
        if not len(still.lines):
            break
    start = min((window.start for window in needed), default=0)
    stop = max((window.stop for window in needed), default=len(taken))
    agreed.rungs = taken[start:stop]
    agreed.straight = stop <= _STRAIGHT and bool(agreed.bound.isfinite().all())
    return agreed


def agrees_ahead(claim: Claim, rungs: Rungs, values: Tensor) -> Agreed:
    """Whether a claim at x + t d, with t the step of the last of ``rungs``, fits as well.

    The claim is of the slope along one line, on which ``values`` [2S + 1, M] were seen: at x, and
    at x + t d and x - t d on all S rungs. A polynomial through all of them has at that point a
    derivative whose truncation is about twice that at x: no further value is needed.
    """
    weights, reach = _rule_ahead(rungs)
    there = _Open.at_first(claim)
    value = claim.weights @ (weights @ values)[:, None]
    bound = reach * there.noise + there.own
    near = ((value - claim.slopes).abs() <= bound) & (bound <= there.telling)
    return Agreed(claim.slopes, value, bound, near.all(0), rungs)


@dataclass
class _Open:
    """The claim on those ``lines`` [P] that are still open, and what was seen along them.

    ``differences`` [S, K, P] are those of the weighted function, ``noise`` [K, P] what a value of
    it may err by; ``own`` may be wrong in the slopes. A bound above ``telling`` says nothing: an
    error of some tensor's size would not show.
    """

    claim: Claim
    lines: Tensor
    slopes: Tensor
    landing: Tensor
    own: Tensor
    telling: Tensor
    noise: Tensor
    differences: Tensor

    @classmethod
    def at_first(cls, claim: Claim) -> "_Open":
        unit = NOISE_SAFETY * OUTPUT_ROUNDINGS * unit_roundoff(claim.dtype)
        own = unit * (claim.sizes.square().sum(0).sqrt() + claim.slopes.abs())
        telling = torch.where(own.isfinite(), claim.sizes.amin(0) / HIDING, -1.0)
        landing = unit**2 * claim.landing.square().sum(0)
        noise = (claim.rounding.sum(1, keepdim=True) + landing).sqrt()
        lines = torch.arange(claim.slopes.shape[1])
        nothing = claim.slopes.new_empty(0, *claim.slopes.shape)
        return cls(claim, lines, claim.slopes, landing, own, telling, noise, nothing)

    def add(self, ahead: Tensor, back: Tensor) -> None:
        """Take the values on further rungs, [S, P, M]."""
        claim, difference = self.claim, ahead - back
        self.differences = torch.cat([self.differences, claim.weights @ difference.mT])
        if len(self.lines) > 1:  # only what moved is rounded differently on the two sides
            reach = claim.rounding @ (difference != 0).any(0).to(torch.float64).mT
            self.noise = (reach + self.landing).sqrt()

    def settle(self, rules: "_Rules", agreed: Agreed) -> tuple[Tensor, list[int]]:
        """Write down what is known now: on which lines [P], and by which of the rules."""
        combined = (rules.weights @ self.differences.flatten(1)).reshape(-1, *self.slopes.shape)
        values, changes = combined.chunk(2)
        bounds = rules.reach * self.noise + self.own
        near = (values - self.slopes).abs() <= bounds
        # what may be straight from the longest step on must fit there: short steps see little
        straight = (values - values[:1]).abs() <= bounds
        agrees = (near & (near[:1] | ~straight) & (bounds <= self.telling)).all(1)
        known = (changes.abs() <= bounds) & rules.goes_on
        decided = agrees | (known & ~near).any(1)
        settled = decided.any(0)
        if not bool(settled.any()):
            return settled, []
        which = decided.int().argmax(0)[settled]  # the sharpest one decides
        found, lines = settled.nonzero()[:, 0], self.lines[settled]
        agreed.value[:, lines] = values[which, :, found].T
        agreed.bound[:, lines] = bounds[which, :, found].T
        agreed.lines[lines] = agrees[which, found]
        return settled, which.tolist()

    def where(self, chosen: Tensor) -> "_Open":
        """The same on ``chosen`` [P] of the lines."""
        if bool(chosen.all()):
            return self
        return _Open(
            self.claim,
            self.lines[chosen],
            self.slopes[:, chosen],
            self.landing[:, chosen],
            self.own[:, chosen],
            self.telling[:, chosen],
            self.noise[:, chosen],
            self.differences[:, :, chosen],
        )


def _between_kinks(claim: Claim, ahead: Tensor, back: Tensor) -> Tensor:
    """Along which lines [P] some output bends at some step, but most that move do not."""
    unit = NOISE_SAFETY * OUTPUT_ROUNDINGS * unit_roundoff(claim.dtype)
    middle = 2 * claim.values
    bends = ((ahead + back - middle).abs() > unit * (ahead.abs() + back.abs())).sum(2)
    return ((bends > 0) & (2 * bends < (ahead != back).sum(2))).any(0)


def _batches(dtype: torch.dtype, length: float) -> Iterator[Rungs]:
    """Rungs that are taken together; they end where rounding leaves half of the significand.

    The first is at the length of the line. Where that is above the natural one, the others are
    below that.
    """
    natural = max(0, round(math.log2(length / NATURAL_LENGTH)))
    yield (0,)
    for batch in _BATCHES:
        if batch[-1] <= significand_bits(dtype) // 4:
            yield tuple(natural + rung for rung in batch)


@dataclass(frozen=True)
class _Rules:
    """How to combine differences on the rungs of R windows, those first that carry errors least.

    ``weights`` [2R, rungs] make derivatives and then what one step more changes in them, where the
    window ``goes_on``. Errors of 1 in f make ``reach``. These two are [R, 1, 1].
    """

    steps: Tensor
    windows: tuple[range, ...]
    weights: Tensor
    goes_on: Tensor
    reach: Tensor


@cache
def _rules(rungs: Rungs) -> _Rules:
    """The rules for the windows of ``rungs``."""
    windows = [range(a, b + 1) for b in range(len(rungs)) for a in range(min(b + 1, _STARTS))]
    by_window = {window: _weights(rungs, window) for window in windows}
    windows.sort(key=lambda window: float(by_window[window].abs().sum()))
    further = [range(window.start, window.stop + 1) for window in windows]
    weights = torch.stack([by_window[window] for window in windows])
    changed = torch.stack([by_window.get(window, by_window[windows[0]]) for window in further])
    return _Rules(
        torch.tensor([FIRST_STEP / 2**rung for rung in rungs], dtype=torch.float64),
        tuple(windows),
        torch.cat([weights, changed - weights]),
        torch.tensor([window in by_window for window in further])[:, None, None],
        2 * weights.abs().sum(1)[:, None, None],
    )


@cache
def _rule_ahead(rungs: Rungs) -> tuple[Tensor, float]:
    """Weights [2S + 1] of the values that ``agrees_ahead`` takes, and what errors of 1 make."""
    steps = [Fraction(1, 2**rung) for rung in rungs]
    offsets = (Fraction(0), *steps, *(-step for step in steps))
    rule = stencil([offset - steps[-1] for offset in offsets], 1)
    weights = torch.tensor([float(w) / FIRST_STEP for w in rule.weights], dtype=torch.float64)
    return weights, weights.abs().sum().item()


def _weights(rungs: Rungs, window: range) -> Tensor:
    """Those of f(x + t d) - f(x - t d) on the rungs of ``window``, 0 elsewhere."""
    weights = torch.zeros(len(rungs), dtype=torch.float64)
    steps = {place: Fraction(1, 2 ** rungs[place]) for place in window}
    rule = stencil([sign * step for step in steps.values() for sign in (1, -1)], 1)
    by_offset = dict(zip(rule.offsets, rule.weights, strict=True))
    for place, step in steps.items():
        weights[place] = float(by_offset[step]) / FIRST_STEP
    return weights
