"""Numerical Jacobians along lines: a value, a bound and a class for every entry.

A function is probed at seven points of each line, and its outputs are classified. Where that is not
settled smaller steps follow, a few at a time, and the estimates at all steps become one. An entry
that is never resolved has an infinite bound.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradcheck.classes import GRID, OFFSETS, SMOOTH_NOISE, Basis, Estimate, Kind, classify
from gradcheck.errors import ErrorBound
from gradcheck.evaluation import CHUNK_ELEMENTS, Evaluator, power_of_two_near
from gradcheck.rounding import NATURAL_LENGTH, PLAUSIBLE_NOISE, significand_bits, unit_roundoff

_ODD_STEP = 2897 / 4096  # near sqrt(1/2): a step function with steps of 2^-q must not look straight
_STEPS_TOGETHER = 6  # what a smooth function needs after the first
_SHRINK = 8.0  # from one round to the next, so that their levels follow each other by halves


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
    offsets = (sizes[:, None] * OFFSETS[1:]).to(base)
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
    spans = (2 * sizes[:, None] * OFFSETS[1::2]).reshape(len(sizes), -1, 1, 1)
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
    floor = _SHRINK * SMOOTH_NOISE * latest.noise[lines]
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
