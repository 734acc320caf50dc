"""Colouring: entries share a line only where no output depends on two of them."""

import pytest
import torch
from torch import Tensor

from gradcheck import check_gradients
from gradcheck.differences.colouring import Colouring, coloured
from gradcheck.differences.evaluation import Evaluator
from gradcheck.subjects import FunctionSubject


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def neighbours(x: Tensor) -> Tensor:
    """Every output depends on two entries that lie beside each other."""
    return (x[1:] * x[:-1]).sin()


def neighbours_vjp(x: Tensor, g: Tensor) -> Tensor:
    slope = g * (x[1:] * x[:-1]).cos()
    gradient = torch.zeros_like(x)
    gradient[1:] += slope * x[:-1]
    gradient[:-1] += slope * x[1:]
    return gradient


def coloured_at(f: object, x: Tensor) -> Colouring | None:
    evaluator = Evaluator(FunctionSubject(f), {"input": x}, {}, told_stacked=False)
    error = torch.full((len(evaluator.base),), 1e-12).double()
    evaluator.probe_sharing("input", error)
    assert evaluator.shares_calls("input")
    return coloured(evaluator, "input", 1.0, error)


@pytest.mark.parametrize(("f", "count"), [(torch.sin, 1), (neighbours, 2), (lambda x: x[::2], 1)])
def test_no_output_depends_on_two_entries_of_one_colour(f: object, count: int) -> None:
    x = numbers(60)
    found = coloured_at(f, x)
    assert found is not None
    assert int(found.colour.max()) + 1 == count
    directions = found.directions(x.shape)
    assert torch.equal(directions.sum(0), torch.ones(60).double())
    for direction, owner in zip(directions, found.owners(), strict=True):
        moved = found.depends[direction != 0]
        assert int(moved.sum(0).max()) <= 1
        entries, outputs = moved.nonzero(as_tuple=True)
        assert torch.equal(owner[outputs], direction.nonzero()[entries, 0])


def test_what_depends_on_everything_has_no_colours() -> None:
    assert coloured_at(lambda x: x.softmax(0), numbers(60)) is None
    assert coloured_at(torch.sin, numbers(20)) is None  # so few are quickly done


def test_entries_that_share_a_line_are_judged_one_by_one() -> None:
    calls = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += x.numel() // 60
        return x.sin()

    x = numbers(60)
    right = check_gradients((counted, lambda x, g: g * x.cos()), x, method="full")
    assert right.ok
    assert right.tensors[0].comparisons == 120
    assert calls < 7 * 60  # points of a single step along every entry alone
    for entry in (0, 17, 59):

        def wrong(x: Tensor, g: Tensor, entry: int = entry) -> Tensor:
            gradient = neighbours_vjp(x, g)
            gradient[entry] *= 1 + 1e-8
            return gradient

        report = check_gradients((neighbours, wrong), x, method="full")
        assert [m.entry for m in report.mismatches] == [(entry,)]
    assert check_gradients((neighbours, neighbours_vjp), x, method="full").ok
    x[::3] = 0
    assert check_gradients(torch.relu, x, method="full").ok


def test_a_dependence_that_no_move_shows_is_no_false_alarm() -> None:
    """Outputs see the entry before them only close by, where the derivative is taken."""
    x = numbers(60)

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
