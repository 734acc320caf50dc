"""Stencils as values: published weights, the convergence order, and what they do to errors."""

import math
from fractions import Fraction

import pytest

from gradcheck.differences.stencils import Stencil, central, forward, stencil


def test_published_weights() -> None:
    third = Fraction(1, 12)
    assert central(5, 1).weights == (third, -8 * third, 0, 8 * third, -third)
    assert central(3, 2).weights == (1, -2, 1)
    assert forward(3, 1).weights == (Fraction(-3, 2), 2, Fraction(-1, 2))


@pytest.mark.parametrize(
    ("rule", "order"),
    [(central(3, 1), 2), (central(5, 1), 4), (central(7, 1), 6), (central(3, 2), 2),
     (central(5, 2), 4), (forward(2, 1), 1), (forward(4, 1), 3), (central(4, 1), 4)],
    ids=str,
)  # fmt: skip
def test_the_error_falls_with_the_stated_order_and_factor(rule: Stencil, order: int) -> None:
    """On exp at 0 every derivative is 1, so the error is truncation * h^order."""
    assert rule.order == order
    coarse = abs(rule(math.exp, 0.0, 0.1) - 1)
    fine = abs(rule(math.exp, 0.0, 0.05) - 1)
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)
    assert fine == pytest.approx(rule.truncation * 0.05**order, rel=0.2)


@pytest.mark.parametrize("points", [3, 5, 7])
def test_polynomials_of_the_degree_are_exact(points: int) -> None:
    rule = central(points, 1)
    assert rule(lambda x: x ** (points - 1), 1.0, 0.5) == pytest.approx(points - 1, rel=1e-14)


def test_amplification_is_reached() -> None:
    """An error of +-1 with the signs of the weights moves the estimate by the amplification."""
    rule = central(5, 1)
    signs = {float(o): math.copysign(1, w) for o, w in zip(rule.offsets, rule.weights, strict=True)}
    assert rule(lambda x: signs[x], 0.0, 1.0) == pytest.approx(rule.amplification)


def test_it_prints_what_it_is() -> None:
    assert str(central(3, 1)) == (
        "derivative 1, error O(h^2): offsets [-1, 0, 1], weights [-1/2, 0, 1/2]"
    )


def test_refusals() -> None:
    with pytest.raises(ValueError, match="each may occur once"):
        stencil([0, 1, 1], 1)
    with pytest.raises(ValueError, match="derivative is 2 on 2 points"):
        stencil([0, 1], 2)
