"""Sequences of calls: what is called one after another on one instance, drawn like everything else.

The case's own tensors serve the first forward and stay available; other forwards get other numbers,
another batch size and a larger picture, so that nothing kept from an earlier call fits a later one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from verification.cases import Call, Case, Role, TensorSpec
from verification.references.row import Trait
from verification.strategies.cases import (
    ANY_SIZE,
    CaseStrategy,
    claimed_layouts,
    ordinary,
    possible_layout,
)
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometry import Limits, numbers
from verification.strategies.tensors import LAYOUTS, seeds
from verification.subjects.entry import Entry

FORWARD, BACKWARD, ZERO_GRAD, SET_PARAMETERS = "forward", "backward", "zero_grad", "set_parameters"

_FIRST_FREE_AXIS = 2
"""The axes that Trait.RESIZABLE speaks of begin here."""

SEQUENCE = Limits(elements=150)
"""Smaller than a single call's: each step of a sequence is judged."""

NUMBERS, SHAPES = "other numbers", "other shapes"

Draws = Callable[[Case, Entry], SearchStrategy[Call]]


def sequences(*kinds: str) -> CaseStrategy:
    """Ordinary cases with a sequence of calls: a forward on the case's own tensors, a backward, one
    to three calls of the given kinds, a backward.

    In one of four, if forward is among the kinds, two more precede the last backward: on another
    shape, and on the first one again.
    """
    base = ordinary(limits=SEQUENCE, empty_batch=False)

    def strategy(entry: Entry, property_name: str, device: str, dtype: str) -> SearchStrategy[Case]:
        cases = base(entry, property_name, device, dtype)
        chosen = st.lists(st.sampled_from(kinds), min_size=1, max_size=3)

        @st.composite
        def case(draw: DrawFn) -> Case:
            drawn = draw(cases)
            between = [draw(_DRAWS[kind](drawn, entry)) for kind in draw(chosen)]
            if FORWARD in kinds and draw(numbers(0, 3)) == 3:
                # To another shape and back: what is kept for each shape shows at the return.
                between += [draw(_forward(drawn, entry, inputs)) for inputs in (SHAPES, NUMBERS)]
            first, last = (draw(_backward(drawn, entry)) for _ in range(2))
            return replace(drawn, calls=(Call(FORWARD), first, *between, last))

        return case()

    return strategy


@st.composite
def _forward(draw: DrawFn, case: Case, entry: Entry, inputs: str | None = None) -> Call:
    """A forward on the case's own inputs, on other numbers, or on other numbers of other shapes."""
    if inputs is None:
        inputs = draw(st.sampled_from(["the case's", NUMBERS, SHAPES]))
    if inputs == "the case's":
        return Call(FORWARD)
    resize = draw(_resizing(entry)) if inputs == SHAPES else tuple
    seed, layout = draw(seeds()), draw(st.sampled_from(claimed_layouts(entry, LAYOUTS)))
    specs = (
        replace(
            _reseeded(spec, seed),
            shape=resize(spec.shape or ()),
            layout=possible_layout(spec.domain, layout),
        )
        for spec in case.of_role(Role.INPUT)
    )
    return Call(FORWARD, tuple(specs))


@st.composite
def _resizing(draw: DrawFn, entry: Entry) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
    """Another batch size and a larger picture, as far as the row's traits allow."""
    batch = draw(st.sampled_from(ANY_SIZE.batches)) if Trait.BATCHED in entry.have else None
    growth = (
        draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
        if Trait.RESIZABLE in entry.have
        else ()
    )

    def resize(shape: tuple[int, ...]) -> tuple[int, ...]:
        sizes = list(shape)
        if batch is not None:
            sizes[0] = batch
        for axis, more in zip(range(_FIRST_FREE_AXIS, len(sizes)), growth, strict=False):
            sizes[axis] += more
        return tuple(sizes)

    return resize


def _backward(case: Case, entry: Entry) -> SearchStrategy[Call]:
    """A backward with a cotangent of new numbers; the latest output supplies its shape."""
    return _reseeding(BACKWARD, case.of_role(Role.COTANGENT))


def _set_parameters(case: Case, entry: Entry) -> SearchStrategy[Call]:
    """Other values for every parameter."""
    return _reseeding(SET_PARAMETERS, case.of_role(Role.PARAMETER))


def _zero_grad(case: Case, entry: Entry) -> SearchStrategy[Call]:
    return st.just(Call(ZERO_GRAD))


_DRAWS: dict[str, Draws] = {
    FORWARD: _forward,
    BACKWARD: _backward,
    ZERO_GRAD: _zero_grad,
    SET_PARAMETERS: _set_parameters,
}


def _reseeding(kind: str, specs: tuple[TensorSpec, ...]) -> SearchStrategy[Call]:
    return seeds().map(lambda seed: Call(kind, tuple(_reseeded(spec, seed) for spec in specs)))


def _reseeded(spec: TensorSpec, seed: int) -> TensorSpec:
    return replace(spec, values=replace(spec.values, seed=seed))
