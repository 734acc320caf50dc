"""Do claimed derivatives fit central differences as well as rounding lets them?

Steps are 4 times shorter from one rung to the next, and differences are extrapolated (C.
Ridders 1982) until a value agrees with the claim within the rounding that is
to be expected of it. No bound contains a truncation error: a value that is still off by one does
not agree, and neither does a wrong claim. So the answer is yes, or nothing is known and somebody
has to look more closely. And so the rounding that is expected may be that of independent errors,
the root of their squares' sum: where it is too small a right claim costs more time, and that is
all. One value is expected to err by ``OUTPUT_ROUNDINGS`` of its size, ``NOISE_SAFETY`` times.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

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

_RATIO = 4
_TOGETHER = 3  # rungs that are taken at a time, after the first
_STRAIGHT = 2  # rungs that leave no truncation to a polynomial of degree four
_STARTS = 2  # windows begin with the first rung or the next: what fits only far below is coarse

Rungs = tuple[int, ...]
"""Numbers n of steps FIRST_STEP / 2^n."""


@dataclass(frozen=True)
class Claim:
    """Derivatives ``slopes`` [K, L] of ``weights`` [K, M] times a function, along L lines.

    ``values`` [M] are the function's at x. ``landing`` and ``sizes`` [T, K, L] are the roots of the
    sums of (g x)^2 and (g d)^2 over the entries of each of T tensors, g the claimed gradient and d
    the direction: what is rounded on the way to a point, and in g. ``dtype`` is that with the
    fewest bits, ``length`` a step by 1 along the lines, at its longest.
    """

    slopes: Tensor
    weights: Tensor
    values: Tensor
    landing: Tensor
    sizes: Tensor
    dtype: torch.dtype
    length: float


@dataclass(frozen=True)
class Agreed:
    """What the differences say: ``value`` and ``bound`` [K, L], infinite where that is not known.

    On ``lines`` [L] it is what is claimed. ``rungs`` were needed to know it. The function is
    ``straight`` where it looks like a polynomial of low degree along every line.
    """

    value: Tensor
    bound: Tensor
    lines: Tensor
    rungs: Rungs
    straight: bool


Probe = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(steps t [S], numbers of lines [P]) -> f(x + t d) and f(x - t d), both [S, P, M] float64."""


def climb_down(claim: Claim, probe: Probe, rungs: Rungs | None = None) -> Agreed:
    """Look for agreement, from the longest step downwards or from the first of ``rungs``.

    A line is given up where an extrapolation fits the next one and not the claim, and
    where most outputs are straight and others bend: between kinks one by one is better. An
    agreement with the claim counts where an error of every tensor's size would have shown.
    """
    unit = NOISE_SAFETY * OUTPUT_ROUNDINGS * unit_roundoff(claim.dtype)
    value, bound = claim.slopes.clone(), torch.full_like(claim.slopes, torch.inf)
    squares, powers = claim.weights.square(), claim.values.square()
    landing = claim.landing.square().sum(0)
    own = unit * (claim.sizes.square().sum(0).sqrt() + claim.slopes.abs())
    telling = torch.where(own.isfinite(), claim.sizes.amin(0) / HIDING, -1.0)
    pending = torch.arange(claim.slopes.shape[1])
    lines = torch.zeros_like(pending, dtype=torch.bool)
    taken: list[int] = []
    needed: set[range] = set()
    quotients = claim.slopes.new_empty(0, *claim.slopes.shape)
    for batch in _batches(claim.dtype, claim.length, rungs):
        taken += batch
        steps = torch.tensor([FIRST_STEP / 2**rung for rung in batch], dtype=torch.float64)
        ahead, back = probe(steps, pending)
        now = claim.weights @ (ahead - back).mT / (2 * steps[:, None, None])
        quotients = torch.cat([quotients, now])
        rules = _rules(tuple(taken))
        # only what moved is rounded differently on the two sides
        moved = (ahead != back).any(0)
        noise = squares @ (powers * moved).T + landing[:, pending]
        bounds = unit * rules.reach[:, None, None] * noise.sqrt() + own[:, pending]
        values = (rules.weights @ quotients.flatten(1)).reshape(-1, *noise.shape)
        near = (values - claim.slopes[:, pending]).abs() <= bounds
        known = (values - values[rules.further]).abs() <= bounds
        known[rules.last] = False
        agrees = (near & (bounds <= telling[:, pending])).all(1)
        decided = agrees | (known & ~near).any(1)
        which = decided.int().argmax(0)  # the sharpest one decides
        settled = decided.any(0)
        found, which = settled.nonzero()[:, 0], which[settled]
        value[:, pending[found]] = values[which, :, found].T
        bound[:, pending[found]] = bounds[which, :, found].T
        lines[pending[found]] = agrees[which, found]
        needed |= {rules.windows[rule] for rule in which.tolist()}
        bends = (ahead + back - 2 * claim.values).abs() > unit * (ahead.abs() + back.abs())
        bent = bends.sum(2)
        kinked = ((bent > 0) & (bent < moved.sum(1) / 2)).any(0)
        pending, quotients = pending[~settled & ~kinked], quotients[:, :, ~settled & ~kinked]
        if not len(pending):
            break
    start = min((window.start for window in needed), default=0)
    stop = max((window.stop for window in needed), default=len(taken))
    straight = stop <= _STRAIGHT and bool(bound.isfinite().all())
    return Agreed(value, bound, lines, tuple(taken[start:stop]), straight)


def _batches(dtype: torch.dtype, length: float, rungs: Rungs | None) -> Iterator[Rungs]:
    """Rungs that are taken together; they end where rounding leaves half of the significand.

    The first is at the length of the line. Where that is above the natural one, the others are
    below that.
    """
    natural = max(0, round(math.log2(length / NATURAL_LENGTH)))
    count = significand_bits(dtype) // 8
    yield (0,) if rungs is None else rungs
    rest = [natural + 2 * number for number in range(1, count + 1)]
    rest = [rung for rung in rest if rungs is None or rung > rungs[-1]]
    for start in range(0, len(rest), _TOGETHER):
        yield tuple(rest[start : start + _TOGETHER])


@dataclass(frozen=True)
class _Rules:
    """How to combine quotients on the rungs of R windows, those first that carry errors least far.

    ``weights`` are [R, rungs]; errors of 1 in f make ``reach`` [R]. ``further`` [R] is the window
    with one step more, and ``last`` [R] says where there is none.
    """

    weights: Tensor
    reach: Tensor
    windows: tuple[range, ...]
    further: Tensor
    last: Tensor


@cache
def _rules(rungs: Rungs) -> _Rules:
    """The rules for the windows of ``rungs``."""
    windows = [range(a, b + 1) for b in range(len(rungs)) for a in range(min(b + 1, _STARTS))]
    weights = {window: _weights(rungs, window) for window in windows}
    reach = {w: sum(abs(x) * 2**r for x, r in zip(weights[w], rungs, strict=True)) for w in windows}
    windows.sort(key=lambda window: reach[window])
    place = {window: number for number, window in enumerate(windows)}
    further = {window: range(window.start, window.stop + 1) for window in windows}
    return _Rules(
        torch.tensor([weights[window] for window in windows], dtype=torch.float64),
        torch.tensor([reach[window] for window in windows], dtype=torch.float64) / FIRST_STEP,
        tuple(windows),
        torch.tensor([place.get(further[w], place[w]) for w in windows]),
        torch.tensor([further[w] not in place for w in windows]),
    )


def _weights(rungs: Rungs, window: range) -> list[float]:
    """Those of central quotients on the rungs of ``window`` for the derivative, 0 elsewhere."""
    weights = [0.0] * len(rungs)
    steps = {place: Fraction(1, 2 ** rungs[place]) for place in window}
    rule = stencil([sign * step for step in steps.values() for sign in (1, -1)], 1)
    by_offset = dict(zip(rule.offsets, rule.weights, strict=True))
    for place, step in steps.items():
        weights[place] = float(2 * step * by_offset[step])
    return weights
