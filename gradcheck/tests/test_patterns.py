"""One cause for all wrong entries is named, and only if it explains all of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gradcheck import check_gradients
from gradcheck.reporting.patterns import Entries, describe


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def row(value: float) -> Callable[[Tensor], Tensor]:
    def change(gradient: Tensor) -> Tensor:
        gradient[:, 1] *= value
        return gradient

    return change


CAUSES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "zero": (torch.zeros_like, "all zero"),
    "sign": (torch.neg, "all with the wrong sign"),
    "factor": (lambda g: 1.5 * g, "all 1.5 times what is right"),
    "mean": (lambda g: g / 4, "all divided by 4"),
    "transpose": (lambda g: g.mT, "as if transposed"),
    "flip": (lambda g: g.flip(1), "as if flipped along axis 1"),
    "both flips": (lambda g: g.flip(0, 1), "as if flipped along axes 0, 1"),
    "shift": (lambda g: g.roll(1, 0), "as if shifted by 1 along axis 0"),
    "a row": (row(0.0), "all zero, all at index 1 of axis 1"),
    "a row twice": (row(2.0), "all 2 times what is right, all at index 1 of axis 1"),
    "no cause": (lambda g: g + numbers(*g.shape, seed=5), ""),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_named(name: str) -> None:
    change, sentence = CAUSES[name]
    expected = numbers(4, 4)
    got = change(expected.clone())
    bound = torch.full_like(expected, 1e-13)
    assert describe(Entries(expected, got, bound)) == sentence
    if name != "no cause":  # one entry that the cause does not explain, and it is not named
        got[2, 1] += 0.1
        assert not describe(Entries(expected, got, bound)).startswith(sentence.split(",")[0])


@pytest.mark.parametrize("name", CAUSES)
def test_a_report_names_it(name: str) -> None:
    change, sentence = CAUSES[name]
    w = numbers(4, 4, seed=1)

    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return change((g @ w.T).clone())

    report = check_gradients((lambda x: x @ w, vjp), numbers(4, 4))
    assert report.tensors[0].entries is not None
    assert sentence in str(report)
    assert report.to_dict()["tensors"][0]["pattern"] == sentence


def test_what_is_right_has_no_pattern() -> None:
    x = numbers(3, 2)
    assert describe(Entries(x, x, torch.zeros_like(x))) == ""
