"""The ladder: it says yes to what is right, to nothing else, and soon gives up on the rest."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gradcheck import check_gradients
from gradcheck.differences.ladder import FIRST_STEP, Agreed, Claim, agrees_ahead, climb_down

X = torch.tensor([0.7, -1.3, 0.4, 2.1], dtype=torch.float64)
RUNGS = (3, 4, 5, 6)
SMOOTH: dict[str, Callable[[Tensor], Tensor]] = {
    "a straight line": lambda x: 3 * x - 2,
    "a cubic": lambda x: x**3 - x,
    "sine": torch.sin,
    "sigmoid": torch.sigmoid,
    "exponential of squares": lambda x: (-x.square()).exp(),
    "a kink that is not near": torch.relu,
}


def asked(
    f: Callable[[Tensor], Tensor], slopes: Tensor, x: Tensor = X, length: float = 1.0
) -> tuple[Agreed, int]:
    """What the ladder says of ``slopes`` along every entry, and how many rungs it took.

    A step by 1 along an entry has the given ``length``.
    """
    taken = 0

    def probe(steps: Tensor, lines: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal taken
        taken += len(steps)
        moves = length * steps[:, None, None] * torch.eye(len(x)).to(x)[lines]
        return f(x + moves), f(x - moves)

    own = length * slopes[None]
    weights = torch.ones(1, len(x), dtype=torch.float64)
    landing = (slopes * x).abs()[None, None]
    claim = Claim(own, weights, f(x), landing, own.abs()[None], x.dtype, length)
    return climb_down(claim, probe), taken


def derivative(f: Callable[[Tensor], Tensor], x: Tensor = X) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(f(leaf).sum(), leaf)[0]


@pytest.mark.parametrize("name", SMOOTH)
def test_what_is_right_agrees_and_what_is_wrong_does_not(name: str) -> None:
    f = SMOOTH[name]
    right = derivative(f)
    found, _ = asked(f, right)
    assert found.lines.all()
    assert ((found.value - right).abs() <= found.bound).all()
    assert (found.bound <= 1e-9 * right.abs()).all()
    assert found.straight == (name in ("a straight line", "a cubic", "a kink that is not near"))
    for share in (2.0, -1.0, 1e-3, 1e-8):
        assert not asked(f, right * (1 + share))[0].lines[right != 0].any()
    assert not asked(f, right + 8 * found.bound[0])[0].lines[right != 0].any()


def test_what_is_known_to_be_wrong_is_given_up() -> None:
    _, for_right = asked(torch.sin, derivative(torch.sin))
    _, for_wrong = asked(torch.sin, 2 * derivative(torch.sin))
    assert for_right == 5
    assert for_wrong == 5


def test_values_along_a_line_judge_a_second_point_as_sharply() -> None:
    for f in (torch.sin, torch.sigmoid, lambda x: 3 * x - 2):
        steps = [FIRST_STEP / 2**rung for rung in RUNGS]
        values = torch.stack([f(X + t) for t in (0.0, *steps, *(-step for step in steps))])
        there = X + steps[-1]
        slope = derivative(f, there).sum().reshape(1, 1)
        one = torch.ones(1, 4, dtype=torch.float64)
        for share, agrees in ((0.0, True), (1e-9, False), (2.0, False)):
            own = slope * (1 + share)
            claim = Claim(own, one, f(there), own.abs()[None], own.abs()[None], X.dtype, 1.0)
            assert agrees_ahead(claim, RUNGS, values).lines.item() is agrees


def test_a_shorter_step_does_not_excuse_what_the_longest_shows_wrong() -> None:
    """An error of a square that short steps cannot tell from the rounding of 1e16."""
    x, length = 1e8 * X, 2.0**27
    right = derivative(torch.square, x)
    assert asked(torch.square, right, x, length)[0].lines.all()
    assert not asked(torch.square, right * (1 + 1e-6), x, length)[0].lines.any()


def test_steps_do_not_look_straight() -> None:
    one = torch.ones_like(X)
    for grid in (1.0, 0.25, 2.0**-9):
        assert not asked(lambda x, grid=grid: (x / grid).round() * grid, one)[0].lines.any()


def test_an_agreement_that_says_nothing_does_not_count() -> None:
    """A slope of 1e-13 beside 1 is lost at the shorter steps, and so is whether it is 0."""
    assert not asked(lambda x: 1 + 1e-13 * x.sin(), torch.zeros_like(X))[0].lines.any()
    assert asked(torch.ones_like, torch.zeros_like(X))[0].lines.all()
    assert not asked(torch.sin, torch.full_like(X, torch.inf))[0].lines.any()


def test_large_numbers_do_not_hide_what_varies_over_a_length_of_one() -> None:
    x = 2.0**20 + X
    found, taken = asked(torch.sin, derivative(torch.sin, x), x, length=2.0**20)
    assert found.lines.all()
    assert taken < 8


def test_every_entry_is_asked_by_itself() -> None:
    x = torch.linspace(-2, 2, 60, dtype=torch.float64)

    def neighbours(x: Tensor) -> Tensor:
        return (x[1:] * x[:-1]).sin()

    def vjp(x: Tensor, g: Tensor) -> Tensor:
        slope = g * (x[1:] * x[:-1]).cos()
        gradient = torch.zeros_like(x)
        gradient[1:] += slope * x[:-1]
        gradient[:-1] += slope * x[1:]
        gradient[entry] *= 1 + share
        return gradient

    for entry in (0, 17, 59):
        share = 1e-8
        report = check_gradients((neighbours, vjp), x, method="full")
        assert [mismatch.entry for mismatch in report.mismatches] == [(entry,)]
    share = 0.0
    report = check_gradients((neighbours, vjp), x, method="full")
    assert report.ok
    assert report.tensors[0].comparisons == 120


def test_what_is_seen_only_close_by_is_no_false_alarm() -> None:
    """Outputs see the entry before them within 2e-2, where the derivative is taken."""
    x = torch.linspace(-2, 2, 60, dtype=torch.float64)

    def f(y: Tensor) -> Tensor:
        off = y - x if y.shape == x.shape else y.reshape(-1, 60) - x
        tooth = off.sign() * (1e-2 - (off.abs() - 1e-2).abs()).relu()  # 0 from 2e-2 on
        return y.sin() + tooth.roll(1, -1).reshape(y.shape)

    def vjp(y: Tensor, g: Tensor) -> Tensor:
        away = (y - x).roll(1).abs()
        near = (away < 1e-2).double() - ((away > 1e-2) & (away < 2e-2)).double()
        return g * y.cos() + (g * near).roll(-1)

    assert check_gradients((f, vjp), x, method="full").ok
    forgets = (f, lambda y, g: g * y.cos())
    assert not check_gradients(forgets, x, method="full").ok
