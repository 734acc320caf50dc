"""One cause for every wrong entry: a sign, a factor, a transpose, a flip, a shift, one row.

A pattern is named only if it explains every wrong entry: each is what is right of another entry, or
a multiple of what is right, within the bound of that.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor


@dataclass(frozen=True)
class Entries:
    """A whole gradient beside what it should be, all of the tensor's shape, float64.

    ``bound`` is infinite where nothing is known.
    """

    expected: Tensor
    got: Tensor
    bound: Tensor

    @property
    def wrong(self) -> Tensor:
        """Which entries are off by more than their bound."""
        return ~((self.got - self.expected).abs() <= self.bound) & self.bound.isfinite()


def describe(entries: Entries) -> str:
    """What explains all wrong entries, and where they lie; empty if nothing simple does."""
    wrong = entries.wrong
    if not bool(wrong.any()):
        return ""
    found = [next((text for text, explains in _causes(entries) if explains(wrong)), "")]
    found.append(_where(wrong))
    return ", ".join(part for part in found if part)


def _causes(entries: Entries) -> Iterator[tuple[str, Callable[[Tensor], bool]]]:
    """Sentences, each with a test whether it holds for all wrong entries."""
    expected, got, bound = entries.expected, entries.got, entries.bound

    def equal(other: Tensor, other_bound: Tensor) -> Callable[[Tensor], bool]:
        within = (got - other).abs() <= other_bound
        return lambda wrong: bool(within[wrong].all())

    yield "all zero", lambda wrong: bool((got[wrong] == 0).all())
    yield "all with the wrong sign", equal(-expected, bound)
    yield from _factor(entries)
    if expected.dim() >= 2 and expected.shape[-1] == expected.shape[-2]:
        yield "as if transposed", equal(expected.mT, bound.mT)
    axes = [axis for axis, size in enumerate(expected.shape) if size > 1]
    for others, _ in enumerate(axes):
        for some in combinations(axes, others + 1):
            yield f"as if flipped along {_axes(some)}", equal(expected.flip(some), bound.flip(some))
    for axis in axes:
        for by in (1, -1):
            shifted = equal(expected.roll(by, axis), bound.roll(by, axis))
            yield f"as if shifted by {by} along {_axes((axis,))}", shifted


def _factor(entries: Entries) -> Iterator[tuple[str, Callable[[Tensor], bool]]]:
    """One factor for all wrong entries, taken from the largest of them."""
    expected, got, bound = entries.expected, entries.got, entries.bound
    largest = int(torch.where(entries.wrong, expected.abs(), 0.0).argmax())
    right, found = expected.flatten()[largest], got.flatten()[largest]
    ratio, inverse = (found / right).item(), (right / found).item()
    if not inverse or not math.isfinite(inverse):
        return
    # the factor itself is known to the relative bound of the entry that it was taken from
    known = (bound.flatten()[largest] / right.abs()).item()
    within = (got - ratio * expected).abs() <= abs(ratio) * (bound + known * expected.abs())
    whole = round(inverse)
    text = f"all {ratio:.6g} times what is right"
    if whole and abs(whole - inverse) <= known * abs(inverse):
        text = f"all divided by {whole}"
    yield text, lambda wrong: bool(within[wrong].all())


def _where(wrong: Tensor) -> str:
    """The indices that all wrong entries share, if there are several."""
    if int(wrong.sum()) < 2:
        return ""
    places = zip(wrong.shape, wrong.nonzero().unbind(1), strict=True)
    shared = [
        f"index {int(indices.min())} of axis {axis}"
        for axis, (size, indices) in enumerate(places)
        if size > 1 and bool(indices.min() == indices.max())
    ]
    return f"all at {' and '.join(shared)}" if shared else ""


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
