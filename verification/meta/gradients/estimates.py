"""Numerical derivatives in figures: the classes that are seen, the bits that bounds leave, the
calls that it takes (see ``today``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradcheck import Estimate, Kind, jacobian
from gradcheck.differences.errors import EvaluationError
from verification.meta.gradients import sweeps
from verification.meta.gradients.promise import numbers

SINGLE, HALF = torch.float32, torch.float16

Map = Callable[[Tensor], Tensor]


class Asked(NamedTuple):
    """A function, where its derivative is asked, and how."""

    f: Map
    x: Tensor
    options: Mapping[str, Any] = {}


class Figures(NamedTuple):
    """Entries of every class; means over those with a bound of the bits of bound and noise, and the
    bits of the widest bound; calls of the function.
    """

    kinds: tuple[int, ...]
    bound: float
    widest: float
    noise: float
    calls: int


def along_family(name: str, dtype: torch.dtype = torch.float64) -> Asked:
    """All of a family at once."""
    family = sweeps.FAMILIES[name]
    parameter = family.parameter.to(dtype)
    return Asked(lambda x: family.f(x, parameter), torch.full((48,), family.x, dtype=dtype))


def rounded(share: float) -> Map:
    """A parabola in steps."""
    return lambda x: (x * x / share).round() * share


def alone(f: Map, x: Tensor, **options: Any) -> Asked:
    """Looks at single numbers of one point, so that no two points can share a call."""

    def looking(at: Tensor) -> Tensor:
        assert at.shape == x.shape
        assert at.flatten()[0].item() < torch.inf
        return f(at)

    return Asked(looking, x, options)


def error_analysis(f: Map) -> EvaluationError:
    """Values err by their share and that of their input."""

    def error(inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        at = inputs["input"].double()
        return {"output": 2.0**-50 * (f(at).abs() + at.abs().sum())}

    return error


def analysed(f: Map, x: Tensor) -> Asked:
    """With an error analysis."""
    return Asked(f, x, {"evaluation_error": error_analysis(f)})


def cube(x: Tensor) -> Tensor:
    return x * x * x


def square(x: Tensor) -> Tensor:
    return x * x


def reciprocal(x: Tensor) -> Tensor:
    return 1 / (2 + x * x)


def kinks(x: Tensor) -> Tensor:
    """The sum of many kinks."""
    at = torch.linspace(-1, 1, 65, dtype=torch.float64).to(x)
    return (x[..., None] - at).abs().sum(-1)


def two_kinks(jump: float) -> Asked:
    """Parabolas with a kink on either side, nearer and nearer, and one with a kink on one side."""
    at = torch.linspace(0, 0.8, 48, dtype=torch.float64)

    def f(x: Tensor) -> Tensor:
        t = x - 1
        both = t * t + jump * (t.abs() - at).clamp(min=0)
        return torch.cat([both, t * t * t + jump * (t - at).clamp(min=0)], -1)

    return Asked(lambda x: f(x), torch.ones(1, 48, dtype=torch.float64))


def kinks_of_large(x: Tensor) -> Tensor:
    """At 2^17, where floating-point numbers lie 2^-6 apart, as far from it as 2^-6 ... 2^6."""
    ahead = 2.0**17 + 2 ** torch.linspace(-6, 6, 25, dtype=torch.float64).to(x)
    return torch.where(x < ahead, 0.5, 2.0).to(x) * (x - ahead)


def seldom(x: Tensor) -> Tensor:
    """Small, in fine steps, and without a value behind a step away."""
    steps = (x * x * 2**34).round() / 2**34 * 1e-6
    elsewhere = torch.tensor([torch.nan, torch.inf, 1, 1, 1], dtype=torch.float64)
    return torch.where((x - FEW).abs() > 0.5, elsewhere, steps)


LEFT, RIGHT = numbers(30, 7), numbers(5, 30, seed=1)
FEW = numbers(5)
MANY_OUT = torch.arange(40_000.0, dtype=torch.float64)
TWO_WAYS = torch.tensor([[1.0, 1.0], [1.0, 0.25]])
DIRECTIONS = {"directions": 3 * numbers(4, 3, 2, seed=1)}
SMALL, LARGE = 1e-5 * numbers(6), 1e5 * numbers(6)

ASKED: dict[str, Asked] = {
    **{name: along_family(name) for name in ("parabolas", "cubes", "poles")},
    **{name: along_family(name) for name in ("kinks ahead", "kinks behind")},
    **{f"{n} in float32": along_family(n, SINGLE) for n in ("parabolas", "cubes", "kinks ahead")},
    "product": Asked(lambda x: LEFT @ x, numbers(7)),
    "product of a matrix": Asked(lambda x: RIGHT @ x, numbers(30, 4)),
    "square": Asked(square, FEW),
    "square in float32": Asked(square, FEW.float()),
    "sum of squares": Asked(lambda x: (x * x).sum(), numbers(4, 5)),
    "cube of small numbers": Asked(cube, SMALL),
    "cube of large numbers": Asked(cube, LARGE),
    "cube of large numbers in float32": Asked(cube, LARGE.float()),
    "cube at zeros": Asked(cube, torch.zeros(3, dtype=torch.float64)),
    "reciprocal": Asked(reciprocal, FEW),
    "reciprocal in float32": Asked(reciprocal, FEW.float()),
    "reciprocal of large numbers": Asked(reciprocal, LARGE),
    "reciprocal of small numbers": Asked(reciprocal, SMALL),
    "reciprocal at one": Asked(reciprocal, torch.ones((), dtype=torch.float64)),
    "in float16 inside": Asked(lambda x: (x.half() * x.half()).to(x), FEW),
    "in float32 inside": Asked(lambda x: cube(x.float()).to(x), FEW),
    "to float32": Asked(lambda x: cube(x).float(), FEW),
    "fine steps": Asked(rounded(2.0**-30), FEW),
    "coarse steps": Asked(rounded(2.0**-10), FEW),
    "many kinks": Asked(kinks, FEW),
    "many kinks along": Asked(kinks, numbers(3, 2), DIRECTIONS),
    "square along": Asked(square, numbers(3, 2), DIRECTIONS),
    "reciprocal along": Asked(reciprocal, numbers(3, 2), DIRECTIONS),
    "product along, in float32": Asked(
        lambda x: LEFT.float() @ x[0], numbers(3, 7).float(), {"directions": numbers(3, 3, 7)}
    ),
    "product, analysed": analysed(lambda x: LEFT.to(x) @ x, numbers(7)),
    "square, analysed": analysed(square, FEW),
    "reciprocal, analysed": analysed(reciprocal, FEW),
    "modulus, analysed": analysed(torch.abs, torch.tensor([0.0, 1.0, -3.0], dtype=torch.float64)),
    "one by one": alone(reciprocal, FEW),
    "one by one, of small numbers": alone(reciprocal, SMALL),
    "one by one, of large numbers": alone(reciprocal, LARGE),
    "fine steps at zeros": Asked(
        lambda x: (0.3 * (3 + x) * 2**38).round() / 2**38, torch.zeros(4, dtype=torch.float64)
    ),
    "two kinks": two_kinks(0.5),
    "two slight kinks": two_kinks(0.05),
    "kinks ahead of large numbers": Asked(kinks_of_large, torch.full((25,), 2.0**17)),
    "kinks ahead of large numbers along": Asked(
        kinks_of_large,
        torch.full((25,), 2.0**17),
        {"directions": 0.5 + torch.arange(75.0).reshape(3, 25) / 75},
    ),
    "difference of large numbers": Asked(
        lambda x: x[0] - x[1], 2.0**17 + numbers(2).float(), {"directions": TWO_WAYS}
    ),
    "seldom a value": Asked(seldom, FEW),
    "many out": Asked(lambda x: x.sum() * MANY_OUT, FEW[:2]),
    "large table": Asked(lambda x: torch.outer(x, numbers(70)), numbers(70)),
}


def measured(asked: Asked) -> Figures:
    """The figures of what is asked."""
    calls = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return asked.f(x)

    found = jacobian(counted, asked.x, **asked.options)
    return Figures(tuple(int((found.kind == kind).sum()) for kind in Kind), *_bits(found), calls)


def _bits(found: Estimate) -> tuple[float, float, float]:
    known = found.bound.isfinite() & (found.bound > 0)
    if not bool(known.any()):
        return 0.0, 0.0, 0.0
    bounds, noise = (-x[known].log2() for x in (found.bound, found.noise))
    return bounds.mean().item(), bounds.min().item(), noise.mean().item()
