"""A finite-difference method as a value: offsets, weights, order, and what it does to errors.

A stencil for the derivative of order q estimates f^(q)(x) by sum_i w_i f(x + o_i h) / h^q. Its
weights solve the moment equations sum_i w_i o_i^k = q! [k = q] for k < number of points, exactly,
in rational numbers (B. Fornberg, *Generation of Finite Difference Formulas on Arbitrarily Spaced
Grids*, 1988).
Two numbers say how wrong the estimate can be: values off by eta move it by at most
``amplification * eta / h^q``, and the first neglected term of the series by
``truncation * h^order * |f^(q + order)|``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from torch import Tensor

Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True)
class Stencil:
    """Offsets and weights, both in units of the step h; printable and callable."""

    offsets: tuple[Fraction, ...]
    weights: tuple[Fraction, ...]
    derivative: int

    def __call__(self, f: Callable[[Number], Number], x: Number, h: float) -> Number:
        """Estimate the derivative of ``f`` at ``x`` with step ``h``; a tensor's entries at once."""
        terms = [
            float(weight) * f(x + float(offset) * h)
            for offset, weight in zip(self.offsets, self.weights, strict=True)
            if weight
        ]
        return sum(terms[1:], start=terms[0]) / h**self.derivative

    def moment(self, power: int) -> Fraction:
        """Return sum_i w_i o_i^power."""
        return sum(
            (w * o**power for o, w in zip(self.offsets, self.weights, strict=True)), Fraction(0)
        )

    @property
    def order(self) -> int:
        """The power of h in the error of the estimate."""
        power = len(self.offsets)
        while self.moment(power) == 0:
            power += 1
        return power - self.derivative

    @property
    def amplification(self) -> float:
        """The error of the estimate, times h^derivative, for an error of 1 in every value."""
        return float(sum(abs(weight) for weight in self.weights))

    @property
    def truncation(self) -> float:
        """The factor of h^order |f^(derivative + order)| in the first neglected term."""
        power = self.derivative + self.order
        return abs(float(self.moment(power))) / math.factorial(power)

    def step(self, noise: float, size: float) -> float:
        """The step that makes the two errors together smallest.

        ``noise`` is the error of one value (see ``noise_level``) and ``size`` that of
        f^(derivative + order): the minimum of A noise / h^q + T size h^p is where its derivative by
        h vanishes, at h^(p + q) = q A noise / (p T size).
        """
        q, p = self.derivative, self.order
        balance = (q * self.amplification * noise) / (p * self.truncation * size)
        return float(balance ** (1 / (p + q)))

    def __str__(self) -> str:
        offsets = ", ".join(str(offset) for offset in self.offsets)
        weights = ", ".join(str(weight) for weight in self.weights)
        return (
            f"derivative {self.derivative}, error O(h^{self.order}):"
            f" offsets [{offsets}], weights [{weights}]"
        )


def stencil(offsets: Sequence[int | Fraction], derivative: int) -> Stencil:
    """Build the stencil on given offsets.

    Raises ValueError if an offset occurs twice, or if there are not more points than the order of
    the derivative.
    """
    points = tuple(Fraction(offset) for offset in offsets)
    if len(set(points)) < len(points):
        raise ValueError(f"offsets are {[str(p) for p in points]}: each may occur once")
    if not 0 <= derivative < len(points):
        raise ValueError(
            f"derivative is {derivative} on {len(points)} points: it is at least 0 and needs at"
            " least one point more than its order"
        )
    return Stencil(points, _solve_moments(points, derivative), derivative)


def central(points: int, derivative: int) -> Stencil:
    """Stencil on ``points`` equally spaced offsets around 0, which counts only if points is odd."""
    half = points // 2
    offsets = [o for o in range(-half, half + 1) if points % 2 or o]
    return stencil(offsets, derivative)


def forward(points: int, derivative: int) -> Stencil:
    """Stencil on the offsets 0, 1, ..., points - 1: for one-sided slopes."""
    return stencil(range(points), derivative)


def _solve_moments(offsets: tuple[Fraction, ...], derivative: int) -> tuple[Fraction, ...]:
    """Lagrange's basis, differentiated at 0: w_i = q! [x^q] prod_j (x - o_j) / (o_i - o_j)."""
    weights = []
    for i, own in enumerate(offsets):
        coefficients = [Fraction(1)]  # of x^0, x^1, ...
        for j, other in enumerate(offsets):
            if i != j:
                shifted = [Fraction(0), *coefficients]
                scaled = [-other * c for c in coefficients] + [Fraction(0)]
                factor = own - other
                coefficients = [(a + b) / factor for a, b in zip(shifted, scaled, strict=True)]
        weights.append(coefficients[derivative] * math.factorial(derivative))
    return tuple(weights)
