"""Numerical derivatives alone: values, bounds and classes where the derivative is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from gradcheck import Kind, central, forward, jacobian, noise_level, stencil
from verification.meta.gradients.promise import Promise, holds, numbers

SINGLE = torch.float32


class Known(NamedTuple):
    """A function, elementwise or not, a point, the derivative there, its class at every entry, and
    bits that the bound leaves of the largest derivative.
    """

    f: Callable[[Tensor], Tensor]
    x: Tensor
    derivative: Callable[[Tensor], Tensor]
    kind: Kind
    bits: int


def diagonal(slope: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.diag(slope(x.double()))


MATRIX = numbers(3, 4)
AROUND_ONE = 1 + numbers(5) / 8

KNOWN = {
    "sine": Known(torch.sin, numbers(5), diagonal(torch.cos), Kind.SMOOTH, 30),
    "sine in float32": Known(
        torch.sin, numbers(5, dtype=SINGLE), diagonal(torch.cos), Kind.SMOOTH, 8
    ),
    "exponential": Known(torch.exp, numbers(5), diagonal(torch.exp), Kind.SMOOTH, 30),
    "cube": Known(lambda x: x**3, AROUND_ONE, diagonal(lambda x: 3 * x**2), Kind.SMOOTH, 30),
    "square": Known(torch.square, AROUND_ONE, diagonal(lambda x: 2 * x), Kind.QUADRATIC, 30),
    "product": Known(lambda x: MATRIX @ x, numbers(4), lambda x: MATRIX, Kind.AFFINE, 40),
    "modulus away from 0": Known(torch.abs, AROUND_ONE, diagonal(torch.sign), Kind.AFFINE, 40),
    "inverse of small numbers": Known(
        lambda x: 1 / x, 1e-6 * AROUND_ONE, diagonal(lambda x: -1 / x**2), Kind.SMOOTH, 30
    ),
}


def _known() -> Iterator[Promise]:
    for name, known in KNOWN.items():
        yield holds(f"numerical: {name}", lambda known=known: _departs(known))


def _departs(known: Known) -> str:
    found, truth = jacobian(known.f, known.x), known.derivative(known.x)
    kinds = {Kind(kind).name for kind in found.kind[truth != 0].tolist()}
    if kinds != {known.kind.name} or found.basis != "estimated":
        return f"classes {kinds}, basis {found.basis}"
    if not bool(((found.value - truth).abs() <= found.bound).all()):
        return f"{found.value} is not within {found.bound} of {truth}"
    if not bool((found.noise <= found.bound).all()):
        return "the noise is more than the bound"
    widest, largest = found.bound.max().item(), truth.abs().max().item()
    return "" if widest * 2**known.bits <= largest else f"a bound of {widest}, of {largest}"


def _kink() -> str:
    found = jacobian(torch.relu, torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64))
    kinds = [Kind(kind).name for kind in found.kind.diagonal().tolist()]
    values, bounds = found.value.diagonal(), found.bound.diagonal()
    spans = abs(values[1].item() - 0.5) + 0.5 <= bounds[1].item() < 0.5 + 2.0**-20
    right = kinds == ["AFFINE", "KINK", "AFFINE"] and spans
    return "" if right else f"{kinds}, {values}, {bounds}"


def _unresolved() -> str:
    found = jacobian(lambda x: (x > 0).double(), torch.tensor([0.0], dtype=torch.float64))
    return "" if Kind(int(found.kind)) is Kind.UNRESOLVED and found.bound.isinf() else f"{found}"


def _along() -> str:
    x, directions = numbers(3, 2), 3 * numbers(4, 3, 2, seed=1)
    found = jacobian(torch.sin, x, directions=directions)
    truth = (x.cos() * directions).movedim(0, -1)
    fits = bool(((found.value - truth).abs() <= found.bound).all())
    narrow = bool((found.bound * 2**30 <= truth.abs().max()).all())
    return "" if found.value.shape == (3, 2, 4) and fits and narrow else f"{found}, {truth}"


def _analysed() -> str:
    bound = {"output": torch.full((4,), 2.0**-40, dtype=torch.float64)}
    found = jacobian(lambda x: 3 * x, numbers(4), evaluation_error=lambda i, p: bound)
    fits = bool(((found.value - 3 * torch.eye(4)).abs() <= found.bound).all())
    # Two values, each off by as much, a step of 2 or more apart, and what may hide in the noise.
    narrow = bool((found.bound <= 2.0**-33).all()) and bool((found.bound >= 2.0**-42).all())
    return "" if found.basis == "derived" and fits and narrow else f"{found}"


def _order_of_classes() -> str:
    """From the best known to the least, by the numbers that ``Estimate.kind`` has."""
    names = [kind.name for kind in sorted(Kind)]
    numbers = [int(kind) for kind in sorted(Kind)]
    right = names == ["AFFINE", "QUADRATIC", "SMOOTH", "KINK", "UNRESOLVED"]
    return "" if right and numbers == [0, 1, 2, 3, 4] else f"{names}, {numbers}"


def _rules() -> str:
    third = Fraction(1, 12)
    got = {
        "central": (central(3, 1).offsets, central(3, 1).weights, central(3, 1).order),
        "forward": (forward(2, 1).offsets, forward(2, 1).weights, forward(2, 1).order),
        "second": (central(3, 2).weights, central(3, 2).order),
        "five": (central(5, 1).weights, central(5, 1).order),
        "uneven": stencil((0, 1, 3), 1).weights,
    }
    expected = {
        "central": ((-1, 0, 1), (Fraction(-1, 2), 0, Fraction(1, 2)), 2),
        "forward": ((0, 1), (-1, 1), 1),
        "second": ((1, -2, 1), 2),
        "five": ((third, -8 * third, 0, 8 * third, -third), 4),
        "uneven": (Fraction(-4, 3), Fraction(3, 2), Fraction(-1, 6)),
    }
    return "" if got == expected else f"{got}"


def _best_step() -> str:
    """Where 2 e / h + h s / 2 is smallest: at twice the square root of e / s."""
    rule = forward(2, 1)
    found = rule.step(2.0**-50, 1.0), rule.step(2.0**-50, 4.0), rule(torch.exp, numbers(3), 0.5)
    slope = (torch.exp(numbers(3) + 0.5) - torch.exp(numbers(3))) / 0.5
    bend = central(3, 2)(lambda x: x**2, 0.75, 0.5)
    right = found[:2] == (2.0**-24, 2.0**-25) and torch.equal(found[2], slope) and bend == 2
    return "" if right else f"{found}"


def _noise() -> str:
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(9, dtype=torch.float64)[:, None] * 1e-3
    values = t.sin() + 1e-6 * torch.randn(9, 400, generator=generator, dtype=torch.float64)
    level = noise_level(values).median().item()
    return "" if 0.5e-6 <= level <= 2e-6 else f"{level}"


PROMISES: tuple[Promise, ...] = (
    *_known(),
    holds("numerical: kink", _kink),
    holds("numerical: step", _unresolved),
    holds("numerical: along directions", _along),
    holds("numerical: with an error analysis", _analysed),
    holds("numerical: rules", _rules),
    holds("numerical: order of classes", _order_of_classes),
    holds("numerical: best step", _best_step),
    holds("numerical: noise", _noise),
)
