"""One cause for every wrong entry: a sign, a factor, a transpose, a flip, a shift, one row.

A pattern is named only if it explains every wrong entry of the gradient within the bounds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

_MOST_AXES = 6  # flips of more axes are not tried


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
        within = (got - other).abs() <= bound + other_bound
        return lambda wrong: bool(within[wrong].all())

    yield "all zero", lambda wrong: bool((got[wrong] == 0).all())
    yield "all with the wrong sign", equal(-expected, bound)
    yield from _ratio(entries)
    if expected.numel() < 2:
        return  # a single number is its own transpose, flip and shift
    if expected.dim() >= 2 and expected.shape[-1] == expected.shape[-2]:
        yield "as if transposed", equal(expected.mT, bound.mT)
    axes = [axis for axis, size in enumerate(expected.shape) if size > 1][:_MOST_AXES]
    for count in range(1, len(axes) + 1):
        for some in combinations(axes, count):
            yield f"as if flipped along {_axes(some)}", equal(expected.flip(some), bound.flip(some))
    for axis in axes:
        for by in (1, -1):
            shifted = equal(expected.roll(by, axis), bound.roll(by, axis))
            yield f"as if shifted by {by} along {_axes((axis,))}", shifted


def _ratio(entries: Entries) -> Iterator[tuple[str, Callable[[Tensor], bool]]]:
    """One factor for all wrong entries, taken from the largest of them."""
    expected, got, bound = entries.expected, entries.got, entries.bound
    sizes = torch.where(entries.wrong, expected.abs(), 0.0).flatten()
    largest = int(sizes.argmax())
    if not sizes[largest] > 0 or not bool(got.flatten()[largest].isfinite()):
        return
    ratio = (got.flatten()[largest] / expected.flatten()[largest]).item()
    # the ratio itself is known to the relative bound of the entry that it was taken from
    slack = bound.flatten()[largest] / sizes[largest] * expected.abs() * (1 + abs(ratio))
    within = (got - ratio * expected).abs() <= bound * (1 + abs(ratio)) + slack
    text = f"all {ratio:.6g} times what is right"
    whole = round(1 / ratio) if ratio else 0
    known = bound.flatten()[largest] / sizes[largest]
    if whole > 1 and abs(ratio * whole - 1) <= whole * known:
        text = f"all divided by {whole}"
    yield text, lambda wrong: bool(within[wrong].all())


def _where(wrong: Tensor) -> str:
    """The index that all wrong entries share, if not all entries are wrong."""
    if bool(wrong.all()) or int(wrong.sum()) < 2:
        return ""
    places = wrong.nonzero()
    shared = [
        f"index {int(places[0, axis])} of axis {axis}"
        for axis, size in enumerate(wrong.shape)
        if size > 1 and bool((places[:, axis] == places[0, axis]).all())
    ]
    return f"all at {' and '.join(shared)}" if shared else ""


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
