"""What numerical derivatives are today, in figures: the classes that are seen, the bits that bounds
and noise leave, the calls that it takes.

A bound that is wider hides faults, a narrower one was argued by nobody, and more calls take longer.
Whoever changes one of them for a reason writes the new figure here. All functions are such that the
same bits come from every machine: sums, products and quotients, no library's sine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradcheck import Estimate, Kind, jacobian
from verification.meta.gradients import sweeps
from verification.meta.gradients.promise import Promise, holds, numbers

CLOSE = 0.02
"""Bits by which a figure may depart: sums in another order."""

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


def by_values(f: Map) -> Map:
    """Looks at single numbers, so that no two points can share a call."""

    def looking(x: Tensor) -> Tensor:
        assert x.flatten()[0].item() != 77
        return f(x)

    return looking


def analysed(f: Map, x: Tensor) -> Asked:
    """With an error analysis by which values err by their share and that of their input."""

    def error(inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        at = inputs["input"].double()
        return {"output": 2.0**-50 * (f(at).abs() + at.abs().sum())}

    return Asked(f, x, {"evaluation_error": error})


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


LEFT, RIGHT = numbers(30, 7), numbers(5, 30, seed=1)
FEW = numbers(5)
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
    "one by one": Asked(by_values(reciprocal), FEW),
    "one by one, many": Asked(by_values(square), numbers(40)),
    "large table": Asked(lambda x: torch.outer(x, numbers(70)), numbers(70)),
}

TODAY: dict[str, Figures] = {
    "parabolas": Figures((2264, 40, 0, 0, 0), 43.53, 28.59, 46.39, 19),
    "cubes": Figures((2262, 3, 39, 0, 0), 43.25, 27.55, 46.11, 19),
    "poles": Figures((2256, 0, 48, 0, 0), 40.80, 4.41, 43.67, 19),
    "kinks ahead": Figures((2098, 0, 0, 0, 206), 64.54, 26.69, 67.35, 19),
    "kinks behind": Figures((2286, 0, 0, 0, 18), 63.86, 24.69, 66.66, 19),
    "parabolas in float32": Figures((2283, 21, 0, 0, 0), 15.10, 0.12, 17.93, 17),
    "cubes in float32": Figures((2282, 2, 20, 0, 0), 14.93, -0.88, 17.76, 17),
    "kinks ahead in float32": Figures((2222, 0, 0, 24, 58), 72.25, -0.04, 75.18, 17),
    "product": Figures((210, 0, 0, 0, 0), 44.12, 42.27, 47.20, 19),
    "product of a matrix": Figures((2400, 0, 0, 0, 0), 43.84, 41.90, 47.14, 19),
    "square": Figures((20, 5, 0, 0, 0), 44.91, 39.41, 48.47, 19),
    "square in float32": Figures((20, 5, 0, 0, 0), 16.46, 10.58, 20.02, 17),
    "sum of squares": Figures((0, 20, 0, 0, 0), 39.17, 39.00, 44.71, 19),
    "cube of small numbers": Figures((30, 0, 6, 0, 0), 78.38, 71.30, 81.65, 19),
    "cube of large numbers": Figures((30, 5, 1, 0, 0), -2.76, -10.57, 12.74, 22),
    "cube of large numbers in float32": Figures((36, 0, 0, 0, 0), -25.90, -37.54, -15.84, 19),
    "cube at zeros": Figures((6, 0, 3, 0, 0), 744.08, 92.87, 747.75, 19),
    "reciprocal": Figures((20, 0, 5, 0, 0), 45.23, 34.46, 49.08, 19),
    "reciprocal in float32": Figures((20, 0, 5, 0, 0), 18.08, 12.10, 21.65, 17),
    "reciprocal of large numbers": Figures((30, 5, 1, 0, 0), 80.19, 72.51, 95.70, 22),
    "reciprocal of small numbers": Figures((30, 6, 0, 0, 0), 31.78, 29.49, 35.04, 19),
    "reciprocal at one": Figures((0, 0, 1, 0, 0), 35.93, 35.93, 43.70, 19),
    "in float16 inside": Figures((25, 0, 0, 0, 0), 44.23, 28.99, 47.25, 19),
    "in float32 inside": Figures((21, 0, 4, 0, 0), 41.43, 13.39, 48.67, 19),
    "to float32": Figures((0, 0, 5, 0, 20), 13.14, 10.37, 18.68, 19),
    "fine steps": Figures((9, 3, 0, 0, 13), 41.31, 21.78, 45.00, 19),
    "coarse steps": Figures((25, 0, 0, 0, 0), 44.35, 28.99, 47.37, 19),
    "many kinks": Figures((25, 0, 0, 0, 0), 38.29, 30.86, 41.31, 19),
    "many kinks along": Figures((24, 0, 0, 0, 0), 33.25, 29.29, 36.13, 19),
    "square along": Figures((0, 24, 0, 0, 0), 39.09, 36.54, 44.59, 19),
    "reciprocal along": Figures((0, 1, 23, 0, 0), 31.87, 29.77, 41.29, 19),
    "product along, in float32": Figures((90, 0, 0, 0, 0), 13.78, 11.35, 16.86, 17),
    "product, analysed": Figures((210, 0, 0, 0, 0), 43.00, 42.25, 45.81, 10),
    "square, analysed": Figures((20, 5, 0, 0, 0), 42.72, 39.71, 46.07, 10),
    "reciprocal, analysed": Figures((20, 0, 5, 0, 0), 42.07, 33.39, 45.59, 10),
    "modulus, analysed": Figures((8, 0, 0, 1, 0), 39.43, -0.00, 44.53, 10),
    "one by one": Figures((20, 0, 5, 0, 0), 45.23, 34.46, 49.08, 20),
    "one by one, many": Figures((1560, 40, 0, 0, 0), 47.98, 39.58, 51.11, 20),
    "large table": Figures((343000, 0, 0, 0, 0), 48.66, 42.81, 51.95, 105),
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


def _departs(name: str) -> str:
    got, expected = measured(ASKED[name]), TODAY[name]
    same = got.kinds == expected.kinds and got.calls == expected.calls
    near = all(abs(g - e) <= CLOSE for g, e in zip(got[1:4], expected[1:4], strict=True))
    return "" if same and near else f"{got}, and not {expected}"


def _promises() -> Iterator[Promise]:
    for name in ASKED:
        yield holds(f"today: {name}", partial(_departs, name))


PROMISES = tuple(_promises())
