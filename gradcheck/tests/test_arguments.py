"""Trees of arguments and results, and bad functions told apart from wrong gradients."""

import re
from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradcheck import check_gradients
from gradcheck.differences.evaluation import PointError

State = namedtuple("State", "hidden cell")


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cell(x: Tensor, state: State, options: dict[str, Any]) -> dict[str, Any]:
    hidden = torch.tanh(x @ options["weight"] + state.hidden)
    return {"output": hidden, "state": State(hidden * options["scale"], state.cell + hidden)}


def test_trees_are_judged_by_path() -> None:
    state = State(numbers(2, 3, seed=1), numbers(2, 3, seed=2))
    options = {"weight": numbers(4, 3, seed=3), "scale": 0.5, "name": "cell"}
    report = check_gradients(cell, numbers(2, 4), state, options)
    assert report.ok
    assert [tensor.tensor for tensor in report.tensors] == [
        "x",
        "state[0]",
        "state[1]",
        "options['weight']",
    ]


def test_a_wrong_gradient_in_a_tree_is_named_by_its_path() -> None:
    def vjp(pair: tuple[Tensor, Tensor], n: int, g: Tensor) -> tuple[Tensor, Tensor]:
        left, right = pair
        return n * g * right, g * left  # the second forgets n

    report = check_gradients(
        (lambda pair, n: n * pair[0] * pair[1], vjp), (numbers(3), numbers(3, seed=1)), 2
    )
    assert {mismatch.tensor for mismatch in report.mismatches} == {"pair[1]"}
    assert "all divided by 2" in str(report)


def test_a_module_with_a_state() -> None:
    lstm = nn.LSTM(3, 4).double()
    state = (numbers(1, 2, 4, seed=1), numbers(1, 2, 4, seed=2))
    report = check_gradients(lstm, numbers(5, 2, 3), state)
    assert report.ok
    assert report.undecided == 0
    assert {"hx[0]", "hx[1]", "weight_ih_l0"} <= {tensor.tensor for tensor in report.tensors}


def test_views_of_the_input_and_inputs_that_share_memory() -> None:
    x = numbers(3, 4)
    for f in (lambda x: x, lambda x: x.T, lambda x: x[1:]):
        assert check_gradients(f, x).ok
    assert check_gradients(torch.mul, x, x).ok
    assert check_gradients(torch.sin, numbers(1, 4).expand(3, 4)).ok
    assert check_gradients(torch.matmul, x, x.T).ok


class Growing:
    """One more number in every call."""

    def __init__(self) -> None:
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.repeat(self.calls)

    def backward(self, g: Tensor) -> Tensor:
        return g.reshape(self.calls, -1).sum(0)


BAD: dict[str, tuple[Any, str]] = {
    "NaN": (lambda x: x / 0 * 0, "output holds NaN"),
    "no tensor from vjp": ((torch.sin, lambda x, g: 1.0), "gradient is a float: backward must"),
    "grows": (Growing(), r"outputs have shapes \{'output': '\[4\]'\} in one call and"),
    "changes its input": ((lambda x: x.mul_(2), lambda x, g: 2 * g), "input was written to"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_function_is_no_wrong_gradient(name: str) -> None:
    f, sentence = BAD[name]
    report = check_gradients(f, numbers(4))
    assert not report.ok
    assert not report.mismatches
    assert re.search(sentence, str(report))


RAISES: dict[str, tuple[Any, type[Exception], str]] = {
    "no tensor": (lambda x: 3, TypeError, "forward returned a int: return a tensor"),
    "integers": (lambda x: x.long(), TypeError, r"dtypes \['torch.int64'\]: one floating output"),
    "too many gradients": (
        (torch.sin, lambda x, g: (g, g)),
        ValueError,
        "vjp returned 2 gradients for the inputs",
    ),
}


@pytest.mark.parametrize("name", RAISES)
def test_what_cannot_be_judged_is_refused(name: str) -> None:
    f, kind, sentence = RAISES[name]
    with pytest.raises(kind, match=sentence):
        check_gradients(f, numbers(4))


def test_a_function_that_raises_beside_the_point() -> None:
    x = torch.tensor([0.5, 0.25]).double()

    def within(x: Tensor) -> Tensor:
        if (x > 0.6).any():
            raise ValueError("x is outside")
        return x.exp()

    with pytest.raises(
        PointError, match=r"with \['input'\] moved, raised ValueError: x is outside"
    ):
        check_gradients(within, x)


def test_a_function_whose_shapes_depend_on_values() -> None:
    with pytest.raises(PointError, match="the shapes of the outputs must not depend on values"):
        check_gradients(lambda x: x[x > 0].exp(), torch.tensor([0.0, -0.1, 2.0]).double())


class SineAndSquare(torch.autograd.Function):
    """Two outputs; a backward that is told when the loss does not use one of them."""

    without_second: Any = staticmethod(lambda x, sine: sine * x.cos())

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return x.sin(), x * x

    @classmethod
    def backward(cls, ctx: Any, *grad_outputs: Any) -> Tensor:
        (x,), (sine, square) = ctx.saved_tensors, grad_outputs
        if square is None:
            return cls.without_second(x, sine)
        return 2 * x * square + (0 if sine is None else sine * x.cos())


class Raises(SineAndSquare):
    without_second = staticmethod(lambda x, sine: sine * x.cos() + None)


class Forgets(SineAndSquare):
    without_second = staticmethod(lambda x, sine: 0 * sine)


def test_an_output_without_cotangent_counts_as_zeros() -> None:
    x = numbers(4)
    assert check_gradients(SineAndSquare, x).ok
    assert "without a cotangent of ['output_1'] raised TypeError" in str(check_gradients(Raises, x))
    report = check_gradients(Forgets, x)
    assert "another one without a cotangent of ['output_1'] than with zeros" in str(report)
    assert not report.mismatches


def test_none_and_zeros_are_cotangents() -> None:
    given = {"output_0": None, "output_1": numbers(4, seed=2)}
    for f in (lambda x: (x.sin(), x * x), (lambda x: (x.sin(), x * x), by_hand)):
        assert check_gradients(f, numbers(4), cotangents=given).ok
    report = check_gradients(torch.sin, numbers(4), cotangents={"output": torch.zeros(4).double()})
    assert report.ok
    wrong = check_gradients(
        (torch.sin, lambda x, g: g + 1), numbers(4), cotangents={"output": None}
    )
    assert len(wrong.mismatches) == 4


def by_hand(x: Tensor, sine: Tensor, square: Tensor) -> Tensor:
    return sine * x.cos() + 2 * x * square


def test_an_argument_that_was_written_to_is_put_back() -> None:
    def scaled(x: Tensor, factor: Tensor) -> Tensor:
        return x.mul_(2) * factor

    x, factor = numbers(3, 4).T, numbers(1, 3).expand(4, 3)
    before = x.clone()
    report = check_gradients((scaled, lambda x, f, g: (2 * g, None)), x, factor)
    assert str(report).startswith("scaled: x was written to")
    assert torch.equal(x, before)
    z = torch.complex(numbers(4), numbers(4, seed=1))
    kept = z.clone()
    report = check_gradients((lambda z: z.mul_(2), lambda z, g: 2 * g), z)
    assert "input was written to" in str(report)
    assert torch.equal(z, kept)
