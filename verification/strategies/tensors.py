"""Tensors: the value families and memory layouts to choose from, and the strategy that draws a
TensorSpec.

A spec is drawn, elements never are: they follow from family and seed. Drawing every element
collapses at some 800 elements and cannot be satisfied above 1,000.
"""

import functools

from verification.strategies.drawing import SearchStrategy, st

INTEGERS = ("integers", "units", "full", "one_hot", "sparse_integers")
"""Families on which a sum of products can be exact. "full" fills the significand: one tensor of a
case at most.
"""

REALS = ("dense", "positive", "sparse", "wide", "ramp", "constant", "ties")
"""Families of finite numbers that need rounding; "ties" has many zeros and equal elements."""

ANY_NUMBERS = (*REALS, "units", "loud")
"""Families for a function without an error analysis: numbers of every size, and 1e8 beside 1."""

WITHIN_ONE = {
    "integers": "units",
    "full": "units",
    "one_hot": "units",
    "sparse_integers": "units",
    "wide": "dense",
}
"""What stands in for a family that goes beyond [-1, 1], where a subject waives saturation."""

DENSE = "dense"
"""Numbers between -1 and 1, none of them zero, with full significands."""

HUNDREDS = "hundreds"
"""Numbers between -100 and 100 with full significands: some of their squares fill a float16."""

SPECIAL = "special"
"""Finite numbers among which stand NaN, infinities, signed zeros and subnormals."""

LAYOUTS = (
    "contiguous",
    "channels_last",
    "strided",
    "transposed",
    "offset",
    "permuted",
    "expanded",
    "broadcast",
)
"""Memory layouts. The last two repeat elements: stride 0 along one axis, or along all (what
sum().backward() gives).
"""

REPEATING = ("expanded", "broadcast")
"""Layouts in which elements share a place."""

IN_ORDER = ("contiguous", "strided", "offset", "expanded", "broadcast")
"""Layouts in which the axes stand in memory in their own order."""

DISTINCT = tuple(layout for layout in LAYOUTS if layout not in REPEATING)
"""Layouts in which every element has a place of its own, so that it can be changed in place."""


def seeds() -> SearchStrategy[int]:
    """What the elements of a tensor follow from."""
    return st.integers(0, 2**16 - 1)


@functools.cache
def families(
    names: tuple[str, ...], *, integers: bool, reals: bool
) -> SearchStrategy[tuple[str, ...]]:
    """A value family for each of the tensors: all of integers, or all of finite numbers that need
    rounding.
    """
    kinds = ([_integer_families(names)] if integers else []) + (
        [each_of(len(names), REALS)] if reals else []
    )
    return st.one_of(kinds)


def _integer_families(names: tuple[str, ...]) -> SearchStrategy[tuple[str, ...]]:
    """Integers of every family for each of the tensors, or one tensor that fills the significand
    among units.
    """
    any_of = st.sampled_from([family for family in INTEGERS if family != "full"])
    one_full = st.sampled_from(names).map(
        lambda chosen: tuple("full" if name == chosen else "units" for name in names)
    )
    return st.one_of(st.tuples(*[any_of] * len(names)), one_full)


@functools.cache
def each_of(count: int, options: tuple[str, ...]) -> SearchStrategy[tuple[str, ...]]:
    """One of the options, families or layouts, for each of so many tensors."""
    return st.tuples(*[st.sampled_from(options)] * count)
