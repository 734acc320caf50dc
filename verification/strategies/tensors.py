"""Tensors: the value families and memory layouts to choose from, and the strategy that draws a
TensorSpec.

A spec is drawn, elements never are: they follow from family and seed. Drawing every element
collapses at some 800 elements and cannot be satisfied above 1,000.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from verification.cases import Role, TensorSpec, Values

INTEGERS = ("integers", "units", "full", "one_hot", "sparse_integers")
"""Families on which a sum of products can be exact. "full" fills the significand: one tensor of a
case at most.
"""

REALS = ("dense", "positive", "sparse", "wide", "ramp", "constant", "ties")
"""Families of finite numbers that need rounding; "ties" has many zeros and equal elements."""

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

SEEDS = st.integers(0, 2**16 - 1)


def integer_values(names: tuple[str, ...]) -> SearchStrategy[dict[str, str]]:
    """A family for each of the tensors, all of integers: balanced, or one tensor that fills the
    significand.
    """
    balanced = st.fixed_dictionaries(
        {name: st.sampled_from([f for f in INTEGERS if f != "full"]) for name in names}
    )
    one_full = st.sampled_from(names).map(
        lambda chosen: {name: "full" if name == chosen else "units" for name in names}
    )
    all_integers = st.just(dict.fromkeys(names, "integers"))
    return st.one_of(all_integers, balanced, one_full)


def real_values(names: tuple[str, ...]) -> SearchStrategy[dict[str, str]]:
    """A family for each of the tensors, of finite numbers that need rounding."""
    return st.fixed_dictionaries({name: st.sampled_from(REALS) for name in names})


@st.composite
def specs(
    draw: DrawFn,
    name: str,
    role: Role,
    shape: tuple[int, ...] | None,
    family: str,
    layouts: tuple[str, ...],
) -> TensorSpec:
    """A spec of that name, role, shape and family, in one of the layouts."""
    return TensorSpec(
        name, role, shape, Values(family, draw(SEEDS)), draw(st.sampled_from(layouts))
    )
