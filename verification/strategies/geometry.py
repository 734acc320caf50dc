"""Geometry: how a layer is built and the shapes of its tensors, drawn against symmetry.

A test that draws squares cannot see swapped axes. So each axis gets its own size, kernel, stride,
padding and dilation, sizes leave remainders, and one channel, one sample and no sample are drawn on
purpose.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from verification.cases import LayerCall
from verification.references.clauses import Clause
from verification.strategies.drawing import DrawFn, SearchStrategy, st

Shape = tuple[int, ...]
NamedShapes = tuple[tuple[str, Shape], ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Geometry:
    """A layer's call with the shapes of its inputs and parameters, by name and in order.

    `outputs` are the names of what forward returns. `domains` says, by name, which numbers a tensor
    may hold; those that are not named may hold any. `kept` are extents that may not change from
    one call to the next.
    """

    layer: LayerCall
    inputs: NamedShapes
    parameters: NamedShapes = ()
    outputs: tuple[str, ...] = ("output",)
    domains: tuple[tuple[str, str], ...] = ()
    kept: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Limits:
    """What a property asks of a geometry.

    `elements` bounds the input's number of elements softly (sizes are chosen to stay below it, and
    the smallest that a layer takes is always allowed); `batches` are the batch sizes to choose
    from, the simplest first; `waived` are the clauses whose cases are left out; `fixed` are
    arguments held at one value, because the layer under judgement does not take them; `one_number`
    are those that it takes as one number and not as one for each axis, `unnamed` those that it
    takes as numbers and not by a name ("same"), `given` those that it cannot take None for. `axes`
    are the numbers of axes that its first input may have; any, if empty.
    """

    elements: int = 500
    batches: tuple[int, ...] = (1, 2, 3)
    waived: frozenset[Clause] = frozenset()
    fixed: tuple[tuple[str, Any], ...] = ()
    one_number: frozenset[str] = frozenset()
    unnamed: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    axes: frozenset[int] = frozenset()

    def held(self, argument: str) -> Any:
        """The value that an argument is held at, or None where it is free."""
        return dict(self.fixed).get(argument)

    def choose(self, argument: str, choices: SearchStrategy[T]) -> SearchStrategy[T]:
        """The choices for an argument of the layer, or the one value that it is held at."""
        held = dict(self.fixed)
        if argument in held:
            return st.just(held[argument])
        restricted = [argument in these for these in (self.one_number, self.unnamed, self.given)]
        return _restricted(choices, *restricted)

    def further_axes(self, options: tuple[int, ...], *, beside: int) -> SearchStrategy[int]:
        """How many axes an input has beside so many that it always has."""
        taken = tuple(n for n in options if not self.axes or n + beside in self.axes)
        return choices(taken or options)

    def with_empty_batch(self) -> Limits:
        """The same limits with batch size 0 among the choices."""
        return replace(self, batches=(*self.batches, 0))


@functools.cache
def _restricted(
    choices: SearchStrategy[T], one_number: bool, unnamed: bool, given: bool
) -> SearchStrategy[T]:
    """The choices of numbers alone, or of one number for all axes, or without None, as far as that
    is wanted.
    """
    if given:
        choices = choices.filter(lambda value: value is not None)
    if unnamed:
        choices = choices.filter(lambda value: not isinstance(value, str))
    if one_number:
        choices = choices.map(lambda value: value[0] if isinstance(value, tuple) else value)
    return choices


SMALL = Limits(elements=60, batches=(1, 2))
"""For a property that looks at every element, or at none."""


Amount = int | tuple[int, ...]
"""One number, or one for each axis."""


# Hypothesis examines every strategy object that it meets for the first time, which costs more than
# a draw does; so those that many draws need are made once.


@functools.cache
def numbers(low: int, high: int) -> SearchStrategy[int]:
    """A whole number from low to high."""
    return st.integers(low, high)


def choices(options: tuple[T, ...]) -> SearchStrategy[T]:
    """One of the options, the simplest first."""
    # (False, True) equals (0, 1), and a cache would take one for the other.
    return _choices(options, repr(options))


@functools.cache
def _choices(options: tuple[T, ...], spelled: str) -> SearchStrategy[T]:
    return st.sampled_from(options)


def amounts(low: int, high: int, dims: int = 2) -> tuple[Amount, ...]:
    """Every number from low to high for all axes, then every tuple of unequal ones: most draws are
    tuples, which can tell the axes apart.
    """
    span = range(low, high + 1)
    unequal = (each for each in itertools.product(span, repeat=dims) if len(set(each)) > 1)
    return (*span, *sorted(unequal, key=sum))


@functools.cache
def per_axis_amounts(low: int, high: int, dims: int = 2) -> SearchStrategy[Amount]:
    """One number for all axes, or one per axis."""
    return st.sampled_from(amounts(low, high, dims))


def per_axis(argument: Amount, dims: int = 2) -> tuple[int, ...]:
    """An argument of a layer as one number per axis."""
    return (argument,) * dims if isinstance(argument, int) else argument


def draw_shape(draw: DrawFn, limits: Limits) -> Shape:
    """1 to 4 axes of different sizes, the first of them the batch; images are the common case. In
    one shape of two the last axis may take all the room, so that rare numbers come up too.
    """
    shape = [draw(choices(limits.batches))]
    room = limits.elements // max(1, shape[0])
    for _ in range(draw(limits.further_axes((0, 1, 2, 3, 3), beside=1))):
        shape.append(draw(numbers(1, max(1, min(5, room)))))
        room //= shape[-1]
    if len(shape) > 1 and draw(numbers(0, 1)):
        # One number, which shrinks by small steps; all or nothing would not.
        shape[-1] = draw(numbers(shape[-1], shape[-1] * max(1, room)))
    return tuple(shape)


@st.composite
def elementwise(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """An elementwise layer on a tensor of any shape."""
    return Geometry(LayerCall.of(name), (("input", draw_shape(draw, limits)),))


@st.composite
def linear_maps(draw: DrawFn, limits: Limits) -> Geometry:
    """Linear: a batch, up to two more axes, and features in and out of different numbers."""
    batch = draw(choices(limits.batches))
    leading = [draw(numbers(1, 3)) for _ in range(draw(limits.further_axes((0, 1, 2), beside=2)))]
    room = max(1, limits.elements // math.prod((max(1, batch), *leading)))
    features, outputs = draw(numbers(1, min(8, room))), draw(numbers(1, 5))
    bias = draw(limits.choose("bias", choices((True, False))))
    layer = LayerCall.of("Linear", in_features=features, out_features=outputs, bias=bias)
    weights = (("weight", (outputs, features)), *((("bias", (outputs,)),) if bias else ()))
    return Geometry(layer, (("input", (batch, *leading, features)),), weights)


@st.composite
def losses(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """A loss of two tensors of one shape, as a mean or a sum."""
    shape = draw_shape(draw, limits)
    layer = LayerCall.of(name, reduction=draw(limits.choose("reduction", choices(("mean", "sum")))))
    return Geometry(layer, (("input", shape), ("target", shape)))
