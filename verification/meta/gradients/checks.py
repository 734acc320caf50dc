"""Checks of gradients in figures: how every tensor was judged, the bits that its bounds leave, the
calls that it takes (see ``today``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradcheck import TensorReport, check_gradients
from verification.meta.gradients import estimates
from verification.meta.gradients.estimates import (
    HALF,
    LEFT,
    SINGLE,
    cube,
    error_analysis,
    kinks,
    reciprocal,
    rounded,
    square,
)
from verification.meta.gradients.promise import numbers


class Asked(NamedTuple):
    """A forward, its backward or None for autograd's, the arguments, and how it is asked."""

    f: Callable[..., Any]
    vjp: Callable[..., Any] | None
    arguments: tuple[Tensor, ...]
    options: Mapping[str, Any] = {}


class Figures(NamedTuple):
    """Calls of forward and backward; the modes that were judged and refused; for every tensor what
    is said in words and counts, and the bits of its resolution, of the chance to miss, and of all
    mismatches' bounds in the mean.
    """

    forwards: int
    backwards: int
    modes: tuple[str, ...]
    tensors: tuple[tuple[str, float, float, float], ...]


def elementwise(f: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]) -> Any:
    """For an argument and options, what is asked."""
    return lambda x, **options: Asked(f, lambda x, g: g * slope(x), (x,), options)


def analysed(f: Callable[[Tensor], Tensor], gradients: bool) -> dict[str, Any]:
    """An error analysis of the forward, or of both sides."""
    forward = {"evaluation_error": error_analysis(f)}
    if not gradients:
        return forward
    return {
        **forward,
        "analytic_error": {"input": torch.full((12,), 2.0**-44, dtype=torch.float64)},
        "cotangents": {"output": numbers(12, seed=4)},
    }


def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


def product_vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    return g @ w.T, x.T @ g


def product_off(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    return (1 + 2.0**-20) * g @ w.T, x.T @ g


def squares_vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    y = x @ w
    return 2 * (y * g) @ w.T, 2 * x.T @ (y * g)


def alone(is_analysed: bool) -> Asked:
    """What looks at single numbers of one point, so that no two points can share a call."""
    given = analysed(reciprocal, False) if is_analysed else {}
    asked = estimates.alone(reciprocal, X)
    return elementwise(asked.f, reciprocal_slope)(X, **given, **FULL)


def poles(x: Tensor) -> Tensor:
    """Poles at distances of 2^-4 to 2^4."""
    return 1 / (x - X - DISTANCES)


def product_of_two_vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    return g @ w.to(g).T, (x.T @ g).to(w)


def ramps(x: Tensor) -> Tensor:
    return square(x) * RAMP


def ramps_vjp(x: Tensor, g: Tensor) -> Tensor:
    return (2 * x * g * RAMP).sum(1, keepdim=True)


def with_step(x: Tensor) -> Tensor:
    return torch.stack([square(x), (x > 0).to(x)])


def with_step_vjp(x: Tensor, g: Tensor) -> Tensor:
    return 2 * x * g[0]


def beside_constants(x: Tensor) -> Tensor:
    return torch.stack([cube(x), torch.full_like(x, 8)])


def beside_constants_vjp(x: Tensor, g: Tensor) -> Tensor:
    return 3 * x * x * g[0]


def twice(x: Tensor) -> Tensor:
    return 2 * x


def convolve(x: Tensor) -> Tensor:
    return F.conv2d(x, KERNEL, padding=1)


def convolve_back(x: Tensor, g: Tensor) -> Tensor:
    return nn.grad.conv2d_input(x.shape, KERNEL, g, padding=1)


def inverse(x: Tensor, w: Tensor) -> Tensor:
    return reciprocal(x * w)


def inverse_vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    slope = g * reciprocal_slope(x * w)
    return slope * w, slope * x


def reciprocal_slope(x: Tensor) -> Tensor:
    return -2 * x / (2 + x * x).square()


def kinks_slope(x: Tensor) -> Tensor:
    at = torch.linspace(-1, 1, 65, dtype=torch.float64).to(x)
    return (x[..., None] - at).sign().sum(-1)


CUBE = elementwise(cube, lambda x: 3 * x * x)
RECIPROCAL = elementwise(reciprocal, reciprocal_slope)
FOLD = elementwise(lambda x: x.clamp(min=0), lambda x: (x > 0).to(x))
KINKS = elementwise(kinks, kinks_slope)
WRONG = elementwise(reciprocal, lambda x: 1.001 * reciprocal_slope(x))

HALVES = elementwise(lambda x: x / 2, lambda x: torch.full_like(x, 0.5))
POLES = elementwise(poles, lambda x: -1 / (x - X - DISTANCES).square())

DISTANCES = 2 ** torch.linspace(-4, 4, 12, dtype=torch.float64)
UNEVEN = torch.tensor([1.5, 0.1, 0.05, -0.2, 2, 0.3, 0.7, 0.02, -0.01], dtype=torch.float64)
X, FEW, MANY = numbers(12), numbers(3), numbers(300)
TWO = numbers(6, 5), numbers(5, 4, seed=1)
PAIR = numbers(12, 2), numbers(12, 2, seed=1)
KERNEL = numbers(2, 2, 3, 3, seed=4)
WIDE = numbers(40, 30), numbers(30, 20, seed=1)
RAMP = torch.linspace(1, 2, 100, dtype=torch.float64)
TIES = torch.tensor([0.0, 0.0, 1.0, -2.0], dtype=torch.float64)
FULL, ALONG = {"method": "full"}, {"method": "projection"}


Asks = Iterator[tuple[str, Asked]]


def _in_both_dtypes() -> Asks:
    for name, dtype in (("", torch.float64), (" in float32", SINGLE)):
        pair = tuple(t.to(dtype) for t in TWO)
        wide = tuple(t.to(dtype) for t in WIDE)
        yield f"cube{name}", CUBE(X.to(dtype))
        yield f"cube of many{name}", CUBE(MANY.to(dtype))
        yield f"cube of many by entry{name}", CUBE(MANY.to(dtype), **FULL)
        yield f"reciprocal{name}", RECIPROCAL(X.to(dtype), **ALONG)
        yield f"fold{name}", FOLD(X.to(dtype))
        yield f"fold of many{name}", FOLD(MANY.to(dtype))
        yield f"fold at ties{name}", FOLD(TIES.to(dtype))
        yield f"many kinks{name}", KINKS(X.to(dtype))
        yield f"wrong{name}", WRONG(X.to(dtype))
        yield f"wrong of many{name}", WRONG(MANY.to(dtype))
        yield f"wrong along{name}", WRONG(X.to(dtype), **ALONG)
        yield f"product{name}", Asked(product, product_vjp, pair)
        yield f"product by entry{name}", Asked(product, product_vjp, pair, FULL)
        yield f"wide product{name}", Asked(product, product_vjp, wide)
        yield f"wide product by entry{name}", Asked(product, product_vjp, wide, FULL)
        yield f"product off{name}", Asked(product, product_off, pair)
        yield f"wide product off{name}", Asked(product, product_off, wide)
        yield f"squares{name}", Asked(lambda x, w: square(x @ w), squares_vjp, pair)
        yield f"product by autograd{name}", Asked(product, None, pair)
        yield f"reciprocal by autograd{name}", Asked(reciprocal, None, (X.to(dtype),))


def _narrow() -> Asks:
    for dtype in (HALF, torch.bfloat16):
        pair = tuple(t.to(dtype) for t in TWO)
        yield f"product in {dtype}", Asked(product, product_vjp, pair)
        yield f"reciprocal in {dtype}", RECIPROCAL(X.to(dtype))
        yield f"fold in {dtype}", FOLD(X.to(dtype))
        yield f"cube in {dtype}", CUBE(X.to(dtype))
    yield "small cube in float16", CUBE((X / 16).half())
    yield "cube in float16 that underflows", CUBE((X / 1024).half())
    halves = tuple(t.half() for t in TWO)
    some = {"output": (numbers(6, 4, seed=3) * torch.arange(4).clamp(max=1)).half()}
    given = {"cotangents": some}
    yield "zeros in a cotangent in float16", Asked(product, product_vjp, halves, given)


def _rounded_inside() -> Asks:
    for off in (10, 20, 34):
        steps = rounded(2.0**-off)
        yield f"steps of 2^-{off}", elementwise(steps, twice)(X)
        yield f"steps of 2^-{off}, wrong", elementwise(steps, lambda x: 1.3 * twice(x))(X)
    yield "coarse steps, of numbers that hardly move", elementwise(rounded(2.0**-8), twice)(UNEVEN)
    yield "in float16 inside", elementwise(lambda x: square(x.half()).to(x), twice)(X)
    yield "in float32 inside", elementwise(lambda x: square(x.float()).to(x), twice)(X)


def _analysed() -> Asks:
    for name, f, ask in (("cube", cube, CUBE), ("reciprocal", reciprocal, RECIPROCAL)):
        for gradients in (False, True):
            which = "both sides" if gradients else "forward"
            given = analysed(f, gradients)
            yield f"{name}, {which} analysed", ask(X, **given)
            yield f"{name}, {which} analysed, along", ask(X, **given, **ALONG)
    yield "fold, analysed", FOLD(X, **analysed(lambda x: x.clamp(min=0), False))
    yield "poles, analysed", POLES(X, **analysed(poles, False), **FULL)
    yield "one by one, analysed", alone(True)
    for jump in (0.5, 0.01):
        f, x, _ = estimates.two_kinks(jump)
        given = {**analysed(f, False), **FULL}
        yield f"two kinks of {jump}, analysed", Asked(f, lambda x, g: 0 * x, (x,), given)
    given = analysed(ramps, False)
    yield "more out than in, analysed", Asked(ramps, ramps_vjp, (numbers(20, 1),), given)
    given = {
        "evaluation_error": lambda i, p: {"output": torch.full((2, 4), 2.0**-50).double()},
        "cotangents": {"output": torch.tensor([[1.0] * 4, [0.0] * 4]).double()},
    }
    yield "a step that nobody asks for, analysed", Asked(with_step, with_step_vjp, (TIES,), given)


def _at_limits() -> Asks:
    for count in (4, 1024, 1025):
        yield f"{count} halves", HALVES(numbers(count), **FULL)
    for count in (512, 513):
        yield f"{count} halves in float32", HALVES(numbers(count).float())
    yield "large numbers", RECIPROCAL(1e4 * X, **FULL)
    yield "small numbers", CUBE(1e-4 * X, **FULL)
    yield "one number", RECIPROCAL(FEW[0])
    yield "nothing", RECIPROCAL(X[:0])


def _other_forms() -> Asks:
    two = TWO[0], TWO[1].float()
    yield "product of two dtypes", Asked(lambda x, w: x @ w.to(x), product_of_two_vjp, two)
    yield "one by one", alone(False)
    yield "a given cotangent", RECIPROCAL(X, cotangents={"output": numbers(12, seed=3)})
    yield "samples", RECIPROCAL(numbers(40, 9), batch_axis=0, **FULL)
    yield "samples of two", Asked(inverse, inverse_vjp, PAIR, FULL)
    yield "a third", elementwise(lambda x: x / 3, lambda x: torch.ones_like(x) / 3)(X)
    yield "a wrong third", elementwise(lambda x: x / 3, lambda x: torch.full_like(x, 0.3334))(X)
    yield "a sum", Asked(lambda x: (x * x).sum(), lambda x, g: 2 * g * x, (X,))
    yield "constants beside a cube", Asked(beside_constants, beside_constants_vjp, (X,), ALONG)
    yield "a convolution", Asked(convolve, convolve_back, (numbers(2, 2, 8, 8),))
    yield "a convolution by entry", Asked(convolve, convolve_back, (numbers(2, 2, 8, 8),), FULL)
    yield "fold of many by autograd", Asked(lambda x: x.clamp(min=0), None, (MANY,))
    yield "kinks by autograd", Asked(kinks, None, (X,))
    yield "reciprocal of many by autograd", Asked(reciprocal, None, (MANY.reshape(30, 10),), ALONG)
    yield "many by autograd", Asked(lambda x: LEFT @ cube(x), None, (numbers(7),), FULL)


ASKED = dict(
    itertools.chain(
        _in_both_dtypes(),
        _narrow(),
        _rounded_inside(),
        _analysed(),
        _at_limits(),
        _other_forms(),
    )
)


def measured(asked: Asked) -> Figures:
    """The figures of what is asked."""
    calls = {"forward": 0, "backward": 0}

    def forward(*arguments: Tensor) -> Any:
        calls["forward"] += 1
        return asked.f(*arguments)

    def backward(*arguments: Tensor) -> Any:
        calls["backward"] += 1
        assert asked.vjp is not None
        return asked.vjp(*arguments)

    forward.__wrapped__ = asked.f  # type: ignore[attr-defined]
    subject = forward if asked.vjp is None else (forward, backward)
    report = check_gradients(subject, *asked.arguments, **asked.options)
    tensors = tuple(_said(report.basis, tensor) for tensor in report.tensors)
    modes = (
        *report.modes,
        *(f"no {refused.partition(':')[0]}" for refused in report.modes_refused),
    )
    return Figures(calls["forward"], calls["backward"], modes, tensors)


def _said(basis: str, tensor: TensorReport) -> tuple[str, float, float, float]:
    counts = tensor.comparisons, tensor.undecided, len(tensor.mismatches)
    words = f"{tensor.tensor} {tensor.method} {tensor.where} {tensor.mode} {basis} {counts}"
    bounds = [_bits(m.bound) for m in tensor.mismatches]
    mean = sum(bounds) / len(bounds) if bounds else 0.0
    return words, _bits(tensor.resolution), _bits(tensor.may_miss), mean


def _bits(size: float) -> float:
    return -math.log2(size) if 0 < size < math.inf else 0.0
