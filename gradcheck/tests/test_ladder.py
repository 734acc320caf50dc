"""The ladder: it says yes to what is right, to nothing else, and soon gives up on the rest."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gradcheck import check_gradients
from gradcheck.differences.ladder import Agreed, Claim, climb_down

X = torch.tensor([0.7, -1.3, 0.4, 2.1], dtype=torch.float64)
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
    """What the ladder says of ``slopes`` along every entry, and how many rungs it took."""
    taken = 0

    def probe(steps: Tensor, lines: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal taken
        taken += len(steps)
        moves = steps[:, None, None] * torch.eye(len(x)).to(x)[lines]
        return f(x + moves), f(x - moves)

    own = slopes[None].expand(1, -1)
    weights = torch.ones(1, len(x), dtype=torch.float64)
    claim = Claim(own, weights, f(x), (own * x).abs()[None], own.abs()[None], x.dtype, length)
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
    assert for_right == 4
    assert for_wrong == 7


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
    """Outputs see the entry before them within 5e-3, where the derivative is taken."""
    x = torch.linspace(-2, 2, 60, dtype=torch.float64)

    def f(y: Tensor) -> Tensor:
        off = y - x if y.shape == x.shape else y.reshape(-1, 60) - x
        tooth = off.sign() * (2.5e-3 - (off.abs() - 2.5e-3).abs()).relu()  # 0 from 5e-3 on
        return y.sin() + tooth.roll(1, -1).reshape(y.shape)

    def vjp(y: Tensor, g: Tensor) -> Tensor:
        away = (y - x).roll(1).abs()
        near = (away < 2.5e-3).double() - ((away > 2.5e-3) & (away < 5e-3)).double()
        return g * y.cos() + (g * near).roll(-1)

    assert check_gradients((f, vjp), x, method="full").ok
    forgets = (f, lambda y, g: g * y.cos())
    assert not check_gradients(forgets, x, method="full").ok
