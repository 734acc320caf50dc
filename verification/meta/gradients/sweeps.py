"""Numerical derivatives along whole families of functions: wherever a bound is given, the truth
lies within it, and it is given as often as today.

A bound that is too narrow shows for some size of a curvature, some frequency, some distance of a
kink, and hardly for one that was picked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gradcheck import Kind, check_gradients, jacobian
from gradcheck.rounding import unit_roundoff
from verification.meta.gradients.promise import Promise, Subject, holds

COUNT = 48

Elementwise = Callable[[Tensor, Tensor], Tensor]


class Family(NamedTuple):
    """An elementwise function of x and a parameter for every entry, and its slope at x; how many
    entries get a bound at least, and how many of these one below 2^-bits of the largest slope.
    """

    f: Elementwise
    slope: Elementwise
    parameter: Tensor
    x: float
    known: int
    narrow: int
    bits: int
    dtype: torch.dtype = torch.float64


def powers(low: float, high: float) -> Tensor:
    """Powers of two, from 2^low to 2^high."""
    return 2 ** torch.linspace(low, high, COUNT, dtype=torch.float64)


def hinge(x: Tensor, at: Tensor) -> Tensor:
    return torch.where(x < at, 0.5, 2.0).to(x) * (x - at)


def hinge_slope(x: Tensor, at: Tensor) -> Tensor:
    return torch.where(x < at, 0.5, 2.0).to(x)


def curve(x: Tensor, at: Tensor) -> Tensor:
    return hinge(x, at) + x.sin()


def curve_slope(x: Tensor, at: Tensor) -> Tensor:
    return hinge_slope(x, at) + x.cos()


def wave(x: Tensor, k: Tensor) -> Tensor:
    return (k * x).sin()


def wave_slope(x: Tensor, k: Tensor) -> Tensor:
    return k * (k * x).cos()


def pole(x: Tensor, a: Tensor) -> Tensor:
    return 1 / (x - 1 + a)


def pole_slope(x: Tensor, a: Tensor) -> Tensor:
    return -((x - 1 + a) ** -2)


def flat(x: Tensor, a: Tensor) -> Tensor:
    return (a * x).tanh() / a


def flat_slope(x: Tensor, a: Tensor) -> Tensor:
    return 1 - (a * x).tanh() ** 2


def bent(power: int) -> tuple[Elementwise, Elementwise]:
    return (
        lambda x, a: x + a * x**power,
        lambda x, a: 1 + power * a * x ** (power - 1),
    )


FAMILIES = {
    "parabolas": Family(*bent(2), powers(-56, 12), 1.3, 48, 14, 42),
    "cubes": Family(*bent(3), powers(-56, 12), 1.3, 48, 48, 41),
    "fourth powers": Family(*bent(4), powers(-56, 12), 0.7, 48, 13, 42),
    "seventh powers": Family(*bent(7), powers(-40, 12), 0.7, 48, 28, 36),
    "frequencies": Family(wave, wave_slope, powers(-4, 10), 0.3, 48, 21, 35),
    "poles": Family(pole, pole_slope, powers(-12, 3), 1.0, 48, 25, 33),
    "kinks ahead": Family(hinge, hinge_slope, 1 + powers(-40, 2), 1.0, 30, 17, 37),
    "kinks behind": Family(hinge, hinge_slope, 1 - powers(-40, 2), 1.0, 30, 17, 37),
    "kinks of a curve": Family(curve, curve_slope, 1 + powers(-40, 2), 1.0, 30, 17, 31),
    "saturations": Family(flat, flat_slope, powers(-30, 8), 0.4, 45, 26, 42),
    "parabolas in float32": Family(*bent(2), powers(-26, 8), 1.3, 48, 13, 14, torch.float32),
    "frequencies in float32": Family(
        wave, wave_slope, powers(-4, 8), 0.3, 48, 20, 13, torch.float32
    ),
}


def departs(family: Family) -> str:
    """What is not as promised along a family."""
    x = torch.full((COUNT,), family.x, dtype=family.dtype)
    parameter = family.parameter.to(family.dtype)
    found = jacobian(lambda x: family.f(x, parameter), x)
    truth = torch.diag(family.slope(x.double(), parameter.double()))
    within = (found.value - truth).abs() <= found.bound * (1 + unit_roundoff(family.dtype))
    if not bool(within.all()):
        return f"at {family.parameter[~within.diagonal()].tolist()} the truth is not in its bound"
    unresolved = found.kind == Kind.UNRESOLVED
    if not torch.equal(unresolved, found.bound.isinf()):
        return "a class without a bound, or a bound without a class"
    bounds = found.bound.diagonal() / truth.diagonal().abs()
    known, narrow = int(bounds.isfinite().sum()), int((bounds < 2.0**-family.bits).sum())
    enough = known >= family.known and narrow >= family.narrow
    return "" if enough else f"{known} bounds, {narrow} of them narrow"


def _pair(family: Family) -> Subject:
    parameter = family.parameter.to(family.dtype)
    pair = (
        lambda x: family.f(x, parameter),
        lambda x, g: (g * family.slope(x.double(), parameter.double())).to(g),
    )
    return pair, torch.full((COUNT,), family.x, dtype=family.dtype)


def _accepted(family: Family) -> str:
    """The slopes as a backward, which is right."""
    reports = [
        check_gradients(*_pair(family), method=method, seed=seed)
        for method in ("full", "projection")
        for seed in range(2)
    ]
    return "; ".join(str(report) for report in reports if not report.ok)


def _promises() -> Iterator[Promise]:
    for name, family in FAMILIES.items():
        yield holds(f"right: {name}", lambda family=family: _accepted(family))
        yield holds(f"numerical: {name}", lambda family=family: departs(family))


PROMISES = tuple(_promises())
