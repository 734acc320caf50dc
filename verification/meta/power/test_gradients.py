"""What gradcheck promises is kept, and a promise that is not kept is seen."""

from typing import Any

import pytest
import torch

from verification.meta.gradients import PROMISES
from verification.meta.gradients.promise import at, complains, numbers, refuses, right, wrong


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_gradcheck_keeps_its_promise(promise: Any) -> None:
    assert promise.broken() == ""


def test_names_are_different() -> None:
    assert len({promise.name for promise in PROMISES}) == len(PROMISES)


def half(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return g * x.cos() / 2


WRONG, RIGHT = (lambda: ((torch.sin, half), numbers(2))), (lambda: (torch.sin, numbers(2)))
ONE, BOTH = at((0,)), at((0,), (1,))


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        (right("a wrong one", WRONG, modes=()), "mismatches: got"),
        (right("another basis", RIGHT, basis="exact"), "basis: got estimated"),
        (right("fewer tensors", RIGHT, judged=()), "judged: got"),
        (right("other modes", RIGHT, modes=()), "modes: got"),
        (right("undecided", RIGHT, undecided=1), "undecided: got 0"),
        (wrong("a right one", RIGHT, {"input": BOTH}), "got gradients of sin right"),
        (wrong("another entry", WRONG, {"input": ONE}), "got input gradient"),
        (wrong("another ratio", WRONG, {"input": at((0,), (1,), ratio=2.0)}), "another ratio"),
        (wrong("another pattern", WRONG, {"input": at((0,), (1,), pattern="sign")}), "'sign' is"),
        (wrong("another mode", WRONG, {"input": at((0,), (1,), mode="vmap")}), "mode: got back"),
        (wrong("elsewhere", WRONG, {"input": at((0,), (1,), where="beside")}), "where: got given"),
        (complains("nothing", RIGHT, "written"), "got gradients of sin right"),
        (refuses("nothing", lambda: 3, ValueError, ""), "got 3"),
        (refuses("another reason", lambda: int("x"), ValueError, "name"), "said invalid literal"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_broken_promise_is_seen(promise: Any, said: str) -> None:
    assert said in promise.broken()
