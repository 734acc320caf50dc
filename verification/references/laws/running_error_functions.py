"""The functions that layers are made of, on the numbers of running_error.py: how each passes on the
error of its operand, its own rounding, and its derivative in the same functions.

Library functions count as right to LIBRARY roundings, and as free to flush a subnormal result to
zero. Sources: SLEEF, which torch vectorises with, is right to 1.0 ulp; the CUDA C++ Programming
Guide, section "Mathematical Functions", lists at most 2 ulp for these in single precision and in
double; one ulp is at most two units of roundoff. A flushed exp(-89) is what torch's own sigmoid has
(docs/findings.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verification.references.laws.enclosure import Enclosure
from verification.references.laws.running_error import Number, Pull, settled, summed_to

LIBRARY = 4
"""Roundings that a library function's error of 2 ulp amounts to."""

ERF = 10
"""Roundings of an error function by Abramowitz and Stegun's formula 7.1.26: its own error of 1.5e-7
amounts to 2.5 in single precision; the rest are those of an exponential, a quotient and a product.
"""


def exp(x: Number) -> Number:
    """The exponential function; over a distance d it grows by e^d."""
    value = x.value.exp()
    y = x.made(_library(x, value, reach=value * x.error.expm1()))
    return x.made(y.enclosure, Pull(x, lambda g: g * y))


def log(x: Number) -> Number:
    """The natural logarithm; it falls fastest towards 0."""
    reach = -torch.log1p(-_relative(x))
    return x.made(_library(x, x.value.log(), reach), Pull(x, lambda g: g / x))


def log1p(x: Number) -> Number:
    """log(1 + x), without the rounding of the sum."""
    reach = -torch.log1p(-(x.error / (1 + x.value)).clamp(max=1))
    return x.made(_library(x, x.value.log1p(), reach), Pull(x, lambda g: g / (1 + x)))


def times_own_log(x: Number) -> Number:
    """The product x log x, 0 at 0. There its slope is no number, and its gradient is left open:
    torch has NaN, the formula minus infinity, and others 0.
    """
    nothing = x.value == 0
    given = x.constant()
    logarithm = log(where(certainly(~nothing), given, 1.0))
    slope = (logarithm + 1).enclosure
    slope = replace(slope, error=slope.error.where(~nothing, torch.inf), exact=False)
    return x.made((given * logarithm).enclosure, Pull(x, lambda g: g * x.made(slope)))


def sqrt(x: Number) -> Number:
    """√x. √x - √(x - e) = e / (√x + √(x - e)) is at most e / √x and at most √e."""
    value = x.value.sqrt()
    reach = torch.fmin(x.error / value, x.error.sqrt())
    y = x.made(_library(x, value, reach, roundings=1))
    return x.made(y.enclosure, Pull(x, lambda g: g / (2 * y)))


def rsqrt(x: Number) -> Number:
    """1 / √x; the change is largest at x - e."""
    value = x.value.rsqrt()
    reach = value * torch.expm1(-0.5 * torch.log1p(-_relative(x)))
    y = x.made(_library(x, value, reach))
    return x.made(y.enclosure, Pull(x, lambda g: -0.5 * g * (y * y * y)))


def sigmoid(x: Number) -> Number:
    """1 / (1 + e^-x), by the branch that neither overflows nor cancels; its derivative is s (1 - s)
    and right to units of roundoff of 1 where 1 - s cancels, which composites allow.

    σ' is at most 1/4, and |σ''| <= σ', so over a distance e σ changes by at most σ' (exp(e) - 1).
    """
    small = torch.exp(-x.value.abs())
    value = torch.where(x.value >= 0, 1 / (1 + small), small / (1 + small))
    slope = small / (1 + small).square()
    reach = torch.fmin(x.error / 4, slope * x.error.expm1())
    # exp stands above and below the bar; two more for the sum and the quotient.
    y = x.made(_library(x, value, reach, roundings=2 * LIBRARY + 2))
    return x.made(y.enclosure, Pull(x, lambda g: g * (y * (1 - y))))


def log_sigmoid(x: Number) -> Number:
    """The logarithm of sigmoid, min(x, 0) - log(1 + e^-|x|), of slope σ(-x)."""
    given = x.constant()
    y = at_most(given, 0) - log1p(exp(-absolute(given)))
    return x.made(y.enclosure, Pull(x, lambda g: g * sigmoid(-x)))


def tanh(x: Number) -> Number:
    """The hyperbolic tangent; its derivative is 1 - y^2, right as sigmoid's is.

    It is at most 1, and grows by at most exp(2e) over a distance e.
    """
    slope = x.value.cosh().pow(-2)
    reach = torch.fmin(x.error, slope * torch.expm1(2 * x.error) / 2)
    y = x.made(_library(x, x.value.tanh(), reach))
    return x.made(y.enclosure, Pull(x, lambda g: g * (1 - y * y)))


def erf(x: Number) -> Number:
    """The error function, of slope 2 / √π exp(-x^2): steepest where |x| is smallest.

    Its roundings count against 1, its largest value: fused layers compute it by that formula, as
    torch's GELU does in single precision where its kernels use vectors of 512 bits.
    """
    nearest = (x.value.abs() - x.error).clamp(min=0)
    reach = x.error * (2 / math.sqrt(math.pi)) * torch.exp(-nearest.square())
    value = torch.special.erf(x.value)
    enclosure = settled(
        x.precision, value, inherited=reach, magnitude=torch.ones_like(value), roundings=ERF
    )
    return x.made(enclosure, Pull(x, lambda g: g * (2 / math.sqrt(math.pi) * exp(-(x * x)))))


def _library(x: Number, value: Tensor, reach: Tensor, roundings: int = LIBRARY) -> Enclosure:
    """f(x) by a library; `reach` bounds |f(x') - f(x)| for every x' within the error of x."""
    tiny = torch.finfo(x.precision.dtype).smallest_normal
    return settled(
        x.precision,
        value,
        inherited=reach,
        magnitude=value.abs(),
        roundings=roundings,
        floor=tiny * (value.abs() < tiny).double(),
    )


def _relative(x: Number) -> Tensor:
    """The relative error of a number that must not be negative, at most 1."""
    return (x.error / x.value).clamp(max=1)


# Functions with kinks


@dataclass(frozen=True)
class Choice:
    """Which entries of a condition hold, and which a right computation may decide either way."""

    holds: Tensor
    unsure: Tensor

    def __invert__(self) -> Choice:
        return Choice(~self.holds, self.unsure)


def above(x: Number, threshold: float) -> Choice:
    """Which entries are above a threshold; a NaN is not."""
    return Choice(x.value > threshold, _near(x, threshold))


def below(x: Number, threshold: float) -> Choice:
    """Which entries are below a threshold; a NaN is not."""
    return Choice(x.value < threshold, _near(x, threshold))


def _near(x: Number, threshold: float) -> Tensor:
    return ((x.value - threshold).abs() <= x.error) & (x.error > 0)


def where(condition: Choice, a: Number, b: Number | float) -> Number:
    """Choose a where the condition holds, else b; where that is unsure the error covers both.

    As in torch, a branch that is not taken still spoils the gradient if its own derivative there is
    no finite number.
    """
    other = a.like(b)

    def taken(first: Tensor, second: Tensor) -> Tensor:
        return torch.where(condition.holds, first, second)

    either = (a.value - other.value).abs() + torch.maximum(a.error, other.error)
    error = taken(a.error, other.error)
    enclosure = Enclosure(
        taken(a.value, other.value),
        torch.where(condition.unsure, either, error),
        taken(a.magnitude, other.magnitude),
        a.enclosure.exact and other.enclosure.exact and not bool(condition.unsure.any()),
    )
    return a.made(enclosure, _share(a, condition), _share(other, ~condition))


def _share(operand: Number, taken: Choice) -> Pull:
    return Pull(operand, lambda g: summed_to(where(taken, g, 0.0), operand.shape))


def certainly(holds: Tensor) -> Choice:
    """A condition that does not depend on what is computed."""
    return Choice(holds, torch.zeros_like(holds))


def absolute(x: Number) -> Number:
    """|x|, of slope 0 at 0 and at NaN."""
    return where(above(x, 0), x, where(below(x, 0), -x, 0 * x))


def maximum(a: Number, b: Number) -> Number:
    """The larger of two numbers."""
    return where(above(a - b, 0), a, b)


def at_most(x: Number, high: float) -> Number:
    """The smaller of x and a limit, at which the slope is 1; a NaN stays."""
    return where(above(x, high), x.like(high), x)


# Functions along an axis


def softmax(x: Number, dim: int) -> Number:
    """e^x / Σ e^x along an axis, with the largest x taken off first so that nothing overflows.

    Its gradient is y (g - Σ g y), whichever way y was computed.
    """
    power = exp(x.constant() - _peak(x, dim))
    y = power / power.sum(dim, keepdim=True)
    return x.made(y.enclosure, Pull(x, lambda g: y * (g - (g * y).sum(dim, keepdim=True))))


def log_softmax(x: Number, dim: int) -> Number:
    """The logarithm of softmax, x - log Σ e^x along an axis. Its gradient is g - e^y Σ g; as
    (δ - e^y) g for one label it rounds a product too.
    """
    less = x.constant() - _peak(x, dim)
    y = less - log(exp(less).sum(dim, keepdim=True))
    return x.made(y.enclosure, Pull(x, lambda g: g.rounded(1) - exp(y) * g.sum(dim, keepdim=True)))


def _peak(x: Number, dim: int) -> Number:
    """The largest entry along an axis as a constant: the functions above do not depend on it."""
    e = x.enclosure
    value = e.value.amax(dim, keepdim=True)
    error = e.error.amax(dim, keepdim=True)
    return x.made(Enclosure(value, error, value.abs(), e.exact))
