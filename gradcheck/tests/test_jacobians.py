"""Numerical derivatives: known ones within their bounds, each entry in its class."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gradcheck.differences.classes import OFFSETS, Estimate, Kind, classify
from gradcheck.differences.evaluation import Evaluator
from gradcheck.differences.jacobians import jacobian_along
from gradcheck.differences.noise import POINTS, noise_level
from gradcheck.reporting.progress import Progress
from gradcheck.rounding import unit_roundoff
from gradcheck.subjects import FunctionSubject
from gradcheck.verdicts.points import Point, Question

U = unit_roundoff(torch.float64)


def derivative(f: Callable[[Tensor], Tensor], x: Tensor, error: float = 8 * U) -> Estimate:
    """Derivatives of an elementwise ``f`` at the entries of ``x``, the diagonal of its Jacobian."""
    evaluator = Evaluator(FunctionSubject(f), {"input": x}, {}, told_stacked=False)
    units = torch.eye(len(x), dtype=x.dtype)
    found = jacobian_along(
        evaluator,
        "input",
        units,
        lambda _, values: error * values.abs().amax(1) + 1e-300,
        "derived",
        thorough=False,
    )
    return Estimate(
        found.value.diagonal(),
        found.bound.diagonal(),
        found.kind.diagonal(),
        found.noise.diagonal(),
        found.basis,
    )


POSITIVE = torch.tensor([0.1, 0.5, 1.0, 1.7, 3.0], dtype=torch.float64)
ANY = torch.tensor([-2.3, -1.0, -0.01, 0.0, 0.4, 1.5], dtype=torch.float64)
KNOWN = {
    "sin": (torch.sin, torch.cos, ANY),
    "exp": (torch.exp, torch.exp, ANY),
    "sigmoid": (torch.sigmoid, lambda x: torch.sigmoid(x) * torch.sigmoid(-x), ANY),
    "tanh": (torch.tanh, lambda x: 1 / torch.cosh(x) ** 2, ANY),
    "log": (torch.log, lambda x: 1 / x, POSITIVE),
    "sqrt": (torch.sqrt, lambda x: 0.5 / torch.sqrt(x), POSITIVE),
    "cube": (lambda x: x**3, lambda x: 3 * x**2, ANY),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_derivatives_lie_within_narrow_bounds(name: str) -> None:
    f, true, x = KNOWN[name]
    found = derivative(f, x)
    assert bool(((found.value - true(x)).abs() <= found.bound).all())
    assert found.bound.max() < 1e-7
    assert found.bound.median() < 1e-9


def test_the_class_of_every_kind_of_function() -> None:
    for f, kind in (
        (lambda x: 3 * x + 1, Kind.AFFINE),
        (lambda x: x * x - x, Kind.QUADRATIC),
        (torch.sin, Kind.SMOOTH),
    ):
        assert set(derivative(f, ANY).kind.tolist()) == {kind}
    assert derivative(torch.relu, ANY).kind.tolist() == [0, 0, 0, Kind.KINK, 0, 0]
    assert derivative(lambda x: x.abs().sqrt(), torch.zeros(1)).kind.tolist() == [Kind.UNRESOLVED]


def test_an_affine_slope_is_known_to_a_few_roundings() -> None:
    found = derivative(lambda x: 3 * x + 1, ANY)
    assert bool(((found.value - 3).abs() <= found.bound).all())
    assert found.bound.max() < 1e3 * U


def test_a_kink_spans_its_two_slopes() -> None:
    found = derivative(lambda x: torch.where(x > 0, 5 * x, -2 * x), torch.zeros(1).double())
    assert found.value.item() == pytest.approx(1.5)
    assert found.bound.item() == pytest.approx(3.5)


def test_a_slope_seen_from_afar_does_not_replace_a_kink() -> None:
    """A dent to the right of 0 in what is flat: a large step sees the slope on the left alone, and
    smaller ones are taken since the other output asks for them.
    """

    def dented(x: Tensor) -> Tensor:
        dent = (0.02 - (x - 0.02).abs()).clamp(min=0)
        return torch.cat([dent, torch.relu(x - 1e-4)])

    x = torch.zeros(1).double()
    evaluator = Evaluator(FunctionSubject(dented), {"input": x}, {}, told_stacked=False)
    found = jacobian_along(
        evaluator,
        "input",
        torch.ones(1, 1).double(),
        lambda _, values: U * values.abs().amax(1),
        "derived",
        thorough=False,
    )
    assert (found.value + found.bound)[0, 0].item() >= 1


@pytest.mark.parametrize("distance", [0.3, 1e-2, 1e-4, 1e-6])
def test_a_kink_close_by_does_not_deceive(distance: float) -> None:
    """Seen from x = -distance the hinge at 0 is flat, whatever a larger step says."""
    found = derivative(
        lambda x: torch.relu(x) + 0.01 * x * x, -torch.tensor([distance, 1.0]).double()
    )
    true = -0.02 * torch.tensor([distance, 1.0]).double()
    assert bool(((found.value - true).abs() <= found.bound).all())
    assert found.bound[0] < 1e-4


def test_a_step_smaller_than_the_spacing_of_numbers_says_nothing() -> None:
    """x + h is x again there, and a quotient of 0 is no slope."""
    x = torch.tensor([-3849825.0, 1878564.0])
    found = derivative(torch.relu, x, error=0.0)
    assert bool(((found.value - (x > 0).double()).abs() <= found.bound).all())


def test_a_domain_that_ends_close_by_is_stayed_in() -> None:
    x = torch.tensor([1e-3, 1.0], dtype=torch.float64)
    found = derivative(torch.log, x)
    assert bool(((found.value - 1 / x).abs() <= found.bound).all())
    assert bool(found.bound.isfinite().all())


def test_batchnorm_is_not_stacked_and_a_pointwise_function_is() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def normalise(x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.var(0) + 0.1).sqrt()

    for f, stacked in ((normalise, False), (torch.sin, True), (lambda x: x.sum(0), False)):
        by_hand = FunctionSubject(f, lambda x, g: g)  # not under vmap, which knows them all
        evaluator = Evaluator(by_hand, {"input": x}, {}, told_stacked=False)
        evaluator.probe_sharing("input", torch.tensor(1e-12))
        assert evaluator.shares_calls("input") is stacked
        points = torch.stack([x, 2 * x, x.flip(0)])
        expected = torch.stack([f(p).flatten() for p in points])
        assert torch.equal(evaluator.values("input", points), expected)


def test_points_share_a_call_under_vmap_where_the_values_are_the_same() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def branches(x: Tensor) -> Tensor:  # on values, which vmap refuses
        return x.sum().sin() if x.sum() > 0 else x.sum().cos()

    def draws(x: Tensor) -> Tensor:
        return x + 0 * torch.rand(3, 4)

    for f, mapped in ((lambda x: x.softmax(0), True), (branches, False), (draws, False)):
        evaluator = Evaluator(FunctionSubject(f), {"input": x[0]}, {}, told_stacked=False)
        evaluator.probe_sharing("input", torch.tensor(1e-12))
        calls = evaluator.shares_calls("input")
        assert calls is mapped
        points = torch.stack([x[0], 2 * x[1], x[2]])
        if f is not draws:
            expected = torch.stack([f(p).flatten() for p in points])
            torch.testing.assert_close(evaluator.values("input", points), expected)


def test_noise_of_known_size_is_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    steps = torch.arange(POINTS, dtype=torch.float64)[:, None] * 1e-8
    noise = 1e-12 * torch.randn(POINTS, 400, dtype=torch.float64, generator=generator)
    levels = noise_level(torch.sin(steps) + noise)
    assert 0.5e-12 < levels.median() < 2e-12
    assert levels.max() < 4e-12


def test_estimated_error_covers_what_rounding_does() -> None:
    """A mean of 300 float32 numbers against its float64 value, at many points."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(5, 300, generator=generator)
    subject = FunctionSubject(lambda x: x.exp().mean(1))
    question = Question(
        subject,
        ({"output": torch.ones(5)},),
        None,
        None,
        False,
        generator,
        0.0,
        Progress(False, "mean"),
    )
    allowed = Point(question, {"input": x}, {}).error_at_base("input")
    for scale in torch.linspace(0.99, 1.01, 200):
        moved = x * scale
        error = (moved.exp().mean(1).double() - moved.double().exp().mean(1)).abs()
        assert bool((error <= allowed).all())


def test_a_kink_between_slopes_that_bend_below_the_noise_is_bounded() -> None:
    """0 to the left, 10 t - c t^2 to the right: the slopes at 0 are 0 and 10, whatever c."""
    error, bent = torch.full((1, 1), 1e-3, dtype=torch.float64), 0.01
    right = 10 * OFFSETS - bent * OFFSETS.square()
    values = torch.where(OFFSETS > 0, right, 0.0).reshape(-1, 1, 1)
    found = classify(values, error, torch.ones(1, 1, dtype=torch.float64), "derived")
    assert found.kind.item() == Kind.KINK
    assert found.value.item() + found.bound.item() >= 10
    assert found.value.item() - found.bound.item() <= 0
