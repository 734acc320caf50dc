"""The cause that is named of a wrong gradient: which, how well it must fit, where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from gradcheck import GradientReport, check_gradients
from gradcheck.reporting.patterns import Entries
from verification.meta.gradients.promise import Promise, holds, numbers

Change = Callable[[Tensor], Tensor]
Cause = tuple[tuple[int, ...], Change, str]
"""A shape, what becomes of a gradient of that, and what is said of it."""


def asked(expected: Tensor, got: Tensor) -> GradientReport:
    """A gradient beside what it should be, of a map that is linear."""
    return check_gradients(
        (lambda x: expected * x, lambda x, g: g * got),
        torch.zeros_like(expected),
        cotangents={"output": torch.ones_like(expected)},
        method="full",
    )


def asked_exactly(change: Change, *shape: int) -> GradientReport:
    """A gradient that is another one at odd quarters only, where no bound leaves room."""

    def vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        right = g * w
        return change(right) if torch.equal(4 * w, (4 * w).round()) else right, g * x

    tensors = numbers(*shape), numbers(*shape, seed=1)
    return check_gradients((torch.mul, vjp), *tensors, wrt=["input_0"])


def pattern_of(report: GradientReport) -> object:
    """What is said to explain the only wrong tensor, in data and in words."""
    (tensor,) = report.to_dict()["tensors"]  # type: ignore[misc]
    pattern = tensor["pattern"]
    entries = f"{len(tensor['mismatches'])} of {tensor['size']} entries differ"
    ending = f"; {entries}, {pattern}" if pattern else f"; {entries}"
    return pattern if str(report).partition("; noise")[0].endswith(ending) else str(report)


def multiplied(factor: float, *place: int | slice) -> Change:
    """Wrong by a factor at some place, at all of them where none is given."""

    def change(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[place] *= factor
        return gradient

    return change


def but_the_largest(gradient: Tensor) -> Tensor:
    """Five times as large, and zero where it is largest."""
    return (5 * gradient).where(gradient.abs() < gradient.abs().max(), 0.0)


ALL = slice(None)
MOVED: dict[str, Cause] = {
    "a transpose": ((3, 3), lambda g: g.mT, "as if transposed"),
    "transposes": ((2, 3, 3), lambda g: g.mT, "as if transposed"),
    "a flip of two": ((2,), lambda g: g.flip(0), "as if flipped along axis 0"),
    "a flip of a few": ((2, 2, 3), lambda g: g.flip(1), "as if flipped along axis 1"),
    "a flip of two axes": ((2, 1, 3), lambda g: g.flip(0, 2), "as if flipped along axes 0, 2"),
    "a flip of all": ((2, 3, 2), lambda g: g.flip(0, 1, 2), "as if flipped along axes 0, 1, 2"),
    "a shift ahead": ((5,), lambda g: g.roll(1, 0), "as if shifted by 1 along axis 0"),
    "a shift back": ((2, 5), lambda g: g.roll(-1, 1), "as if shifted by -1 along axis 1"),
}
CAUSES: dict[str, Cause] = MOVED | {
    "nothing simple": ((3, 3), lambda g: numbers(3, 3, seed=9).to(g), ""),
    "zeros": ((2, 3), torch.zeros_like, "all zero"),
    "a sign": ((2, 3), torch.neg, "all with the wrong sign"),
    "a third": ((2, 2), lambda g: g / 3, "all divided by 3"),
    "minus a half": ((2, 2), lambda g: g / -2, "all divided by -2"),
    "seven times": ((2, 2), lambda g: 7 * g, "all 7 times what is right"),
    "a little less": ((2, 2), lambda g: 0.9 * g, "all 0.9 times what is right"),
    "no number": ((2, 2), lambda g: g * torch.nan, ""),
    "no finite number": ((2, 2), lambda g: g * torch.inf, ""),
    "no factor of the largest": ((2, 2), but_the_largest, ""),
    "one number": ((), multiplied(3), "all 3 times what is right"),
    "one of many": ((2, 3), multiplied(3, 1, 1), "all 3 times what is right"),
    "two of a row": (
        (2, 3),
        multiplied(3, 0, slice(2)),
        "all 3 times what is right, all at index 0 of axis 0",
    ),
    "a row of two": ((2, 3), multiplied(0, 1), "all zero, all at index 1 of axis 0"),
    "a column": ((4, 3), multiplied(0, ALL, 2), "all zero, all at index 2 of axis 1"),
    "a corner": (
        (2, 4, 3),
        multiplied(0, 1, 3),
        "all zero, all at index 1 of axis 0 and index 3 of axis 1",
    ),
    "some of the only row": ((1, 4), multiplied(3, 0, slice(2)), "all 3 times what is right"),
    "rows of two kinds": (
        (3, 4),
        lambda g: g * torch.tensor([[1.0], [2.0], [5.0]]),
        "",
    ),
}

EXACT: dict[str, Cause] = MOVED | {
    "a half": ((2, 2), lambda g: g / 2, "all divided by 2"),
    "a row": ((2, 3), multiplied(2, 1), "all 2 times what is right, all at index 1 of axis 0"),
}


def _named(shape: tuple[int, ...], change: Change, pattern: str) -> str:
    expected = 1e-6 * numbers(*shape, seed=1)  # a cause is that of wrong entries, however small
    said = pattern_of(asked(expected, change(expected)))
    return "" if said == pattern else f"{said!r}"


def _named_exactly(shape: tuple[int, ...], change: Change, pattern: str) -> str:
    report = asked_exactly(change, *shape)
    exact = all(m.bound == 0 for m in report.mismatches)
    said = pattern_of(report)
    return "" if exact and said == f"{pattern}" else f"{said!r}"


def _far(entries: Entries, change: Change) -> Tensor:
    """How far entries may be off from what a cause makes of the right ones: as far as these."""
    ratio = (change(entries.expected) / entries.expected).flatten()
    if not torch.allclose(ratio, ratio[0]):
        return change(entries.bound)
    top = entries.expected.argmax()
    known = entries.bound.flatten()[top] / entries.expected.flatten()[top]
    return ratio[0].abs() * (entries.bound + (known * entries.expected if ratio[0] != -1 else 0))


def _fits(change: Change) -> str:
    """A cause explains what is a little within the bounds, and nothing that is a little beyond."""
    expected = 1 + numbers(4, 4).argsort().double() / 10
    report = asked(expected, change(expected))
    pattern, entries = pattern_of(report), report.tensors[0].entries
    assert entries is not None
    for share, fits in ((0.9, True), (-0.9, True), (1.1, False), (-1.1, False)):
        got = change(expected).clone()
        got[0, 1] += share * _far(entries, change)[0, 1]
        said = pattern_of(asked(expected, got))
        if (said == pattern) != fits:
            return f"{said!r} at {share} of the room"
    return ""


CLOSE: dict[str, Change] = {
    "a sign": torch.neg,
    "a factor": lambda g: 0.3 * g,
    "a factor and a sign": lambda g: -2.5 * g,
    "a transpose": lambda g: g.mT,
    "a flip": lambda g: g.flip(0, 1),
    "a shift": lambda g: g.roll(1, 1),
}


def _promises() -> Iterator[Promise]:
    for name, cause in CAUSES.items():
        yield holds(f"explained: {name}", partial(_named, *cause))
    for name, cause in EXACT.items():
        yield holds(f"explained: {name}, exactly", partial(_named_exactly, *cause))
    for name, change in CLOSE.items():
        yield holds(f"explained within its bounds: {name}", partial(_fits, change))


PROMISES = tuple(_promises())
