"""Geometry: how a layer is built and the shapes of its tensors, drawn against symmetry.

A test that draws squares cannot see swapped axes. So each axis gets its own size, kernel, stride,
padding and dilation, sizes leave remainders, and one channel, one sample and no sample are drawn on
purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from verification.cases import LayerCall
from verification.references.clauses import Clause

Shape = tuple[int, ...]
NamedShapes = tuple[tuple[str, Shape], ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Geometry:
    """A layer's call with the shapes of its inputs and parameters, by name and in order."""

    layer: LayerCall
    inputs: NamedShapes
    parameters: NamedShapes = ()


@dataclass(frozen=True)
class Limits:
    """What a property asks of a geometry.

    `elements` bounds the input's number of elements softly (sizes are chosen to stay below it, and
    the smallest that a layer takes is always allowed); `batches` are the batch sizes to choose
    from, the simplest first; `waived` are the clauses whose cases are left out; `fixed` are
    arguments held at one value, because the layer under judgement does not take them.
    """

    elements: int = 500
    batches: tuple[int, ...] = (1, 2, 3)
    waived: frozenset[Clause] = frozenset()
    fixed: tuple[tuple[str, Any], ...] = ()

    def choose(self, argument: str, choices: SearchStrategy[T]) -> SearchStrategy[T]:
        """The choices for an argument of the layer, or the one value that it is held at."""
        held = dict(self.fixed)
        return st.just(held[argument]) if argument in held else choices

    def with_empty_batch(self) -> Limits:
        """The same limits with batch size 0 among the choices."""
        return replace(self, batches=(*self.batches, 0))


def pairs(elements: SearchStrategy[int]) -> SearchStrategy[int | tuple[int, int]]:
    """One number for both axes or one per axis; the pair is the common case, since it can tell the
    axes apart.
    """
    return st.one_of(st.tuples(elements, elements), elements)


def per_axis(argument: int | tuple[int, ...], dims: int = 2) -> tuple[int, ...]:
    """An argument of a layer as one number per axis."""
    return (argument,) * dims if isinstance(argument, int) else argument


@st.composite
def shapes(draw: DrawFn, limits: Limits) -> Shape:
    """1 to 4 axes of different sizes, the first of them the batch."""
    shape = [draw(st.sampled_from(limits.batches))]
    room = limits.elements // max(1, shape[0])
    for _ in range(draw(st.integers(0, 3))):
        shape.append(draw(st.integers(1, max(1, min(5, room)))))
        room //= shape[-1]
    return tuple(shape)


@st.composite
def elementwise(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """An elementwise layer on a tensor of any shape."""
    return Geometry(LayerCall.of(name), (("input", draw(shapes(limits))),))


@st.composite
def losses(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """A loss of two tensors of one shape, as a mean or a sum."""
    shape = draw(shapes(limits))
    reduction = draw(limits.choose("reduction", st.sampled_from(["mean", "sum"])))
    layer = LayerCall.of(name, reduction=reduction)
    return Geometry(layer, (("input", shape), ("target", shape)))


RATES = (1.0, 0.5, 0.25, 2.0, 0.1, 0.01, 0.0)
"""Learning rates and momenta: powers of two, which integers stay exact under, and others."""


@st.composite
def optimizers(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """Steps of an optimiser: "w0", "w1", ... are what is optimised, "g0.1" is w0's gradient in step
    1, and `lr` has one number for each step.
    """
    steps = draw(st.integers(1, 4))
    small = replace(limits, elements=limits.elements // (2 * steps))
    sizes = draw(st.lists(shapes(small), min_size=1, max_size=3))
    layer = LayerCall.of(
        name,
        lr=tuple(draw(st.sampled_from(RATES)) for _ in range(steps)),
        momentum=draw(limits.choose("momentum", st.sampled_from([0.0, 1.0, 0.5, 0.9]))),
    )
    weights = [(f"w{i}", shape) for i, shape in enumerate(sizes)]
    gradients = [(f"g{i}.{t}", s) for t in range(steps) for i, s in enumerate(sizes)]
    return Geometry(layer, (*weights, *gradients))
