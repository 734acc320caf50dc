"""Cases: from a row's geometry, value families and layouts to whole Cases, as each property wants
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from verification.cases import REAL, Case, Role, TensorSpec, Values
from verification.references.row import Clause, Row, Trait
from verification.strategies.descriptions.domains import parse
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometry import SMALL, Geometry, Limits, Shape
from verification.strategies.tensors import (
    ANY_NUMBERS,
    DENSE,
    HUNDREDS,
    IN_ORDER,
    LAYOUTS,
    REPEATING,
    SPECIAL,
    WITHIN_ONE,
    each_of,
    families,
    seeds,
)
from verification.subjects.entry import Entry

ANY_SIZE = Limits()


Geometries = Callable[[Limits], SearchStrategy[Geometry]]
"""What a row draws, given what a property asks of it."""


class CaseStrategy(Protocol):
    """How a property gets its cases: for an entry, a property's name, a device and a dtype, a
    strategy of Cases.
    """

    def __call__(
        self, entry: Entry, property_name: str, device: str, dtype: str
    ) -> SearchStrategy[Case]: ...


def ordinary(
    *,
    integers: bool = True,
    reals: bool = True,
    layouts: tuple[str, ...] = LAYOUTS,
    limits: Limits = ANY_SIZE,
    empty_batch: bool = True,
    options: Any = None,
    among: Callable[[Row], Geometries] = lambda row: row.geometries,
) -> CaseStrategy:
    """Cases of finite numbers: geometry, then for each tensor a value family and a layout.

    `integers`, `reals`: which value families may be drawn. `layouts`: the memory layouts.
    `empty_batch`: whether batch size 0 is among the cases, where the entry does not waive it.
    `options`: a function from the drawn Geometry to a strategy of a dict, for what the property
    itself wants drawn. `among`: which of a row's geometries.
    """

    def strategy(entry: Entry, property_name: str, device: str, dtype: str) -> SearchStrategy[Case]:
        cells = replace(limits, waived=limits.waived | entry.waivers.keys())
        if empty_batch and Clause.EMPTY_BATCH in entry.have:
            cells = cells.with_empty_batch()

        geometries = among(entry.row)(cells)

        @st.composite
        def case(draw: DrawFn) -> Case:
            geometry = draw(geometries)
            tensors = draw_tensor_specs(
                draw, entry, geometry, integers=integers, reals=reals, layouts=layouts
            )
            drawn = draw(options(geometry)) if options is not None else {}
            return Case(
                entry.spec,
                geometry.layer,
                tensors,
                property_name,
                dtype,
                device,
                options=tuple(drawn.items()),
            )

        return case()

    return strategy


def draw_tensor_specs(
    draw: DrawFn,
    entry: Entry,
    geometry: Geometry,
    *,
    integers: bool = True,
    reals: bool = True,
    layouts: tuple[str, ...] = LAYOUTS,
) -> tuple[TensorSpec, ...]:
    """A spec for every input, every parameter, and the output's cotangent where the row has a
    backward.
    """
    wanted: list[tuple[str, Role, tuple[int, ...] | None]] = [
        *((name, Role.INPUT, shape) for name, shape in geometry.inputs),
        *((name, Role.PARAMETER, shape) for name, shape in geometry.parameters),
    ]
    if Trait.DIFFERENTIABLE in entry.have:
        wanted += [(name, Role.COTANGENT, None) for name in geometry.outputs]
    names = tuple(name for name, _, _ in wanted)
    if entry.row.described:
        chosen = draw(each_of(len(names), ANY_NUMBERS))
    else:
        chosen = draw(families(names, integers=integers, reals=reals))
    if Clause.SATURATION in entry.waivers:
        chosen = tuple(WITHIN_ONE.get(family, family) for family in chosen)
    places = draw(each_of(len(names), claimed_layouts(entry, layouts)))
    if Clause.EQUAL_MAXIMA in entry.waivers:
        chosen = tuple(
            DENSE if role is Role.INPUT else family
            for (_, role, _), family in zip(wanted, chosen, strict=True)
        )
    if Clause.PARAMETER_GAPS in entry.waivers:
        places = tuple(
            "contiguous" if role is Role.PARAMETER else layout
            for (_, role, _), layout in zip(wanted, places, strict=True)
        )
    # One seed serves all: each tensor's name is mixed into its own numbers.
    seed = draw(seeds())
    domains = dict(geometry.domains)
    return tuple(
        _tensor_spec(name, role, shape, Values(family, seed), layout, domains.get(name, REAL))
        for (name, role, shape), family, layout in zip(wanted, chosen, places, strict=True)
    )


def _tensor_spec(
    name: str, role: Role, shape: Shape | None, values: Values, layout: str, text: str
) -> TensorSpec:
    """The spec of a tensor of that domain, which may have a dtype of its own."""
    domain = parse(text)
    layout = possible_layout(text, layout)
    return TensorSpec(name, role, shape, values, layout, domain.dtype, text)


def possible_layout(domain: str, layout: str) -> str:
    """The layout, or one without a stride of 0 where a repeated element makes no member: no
    simplex, no permutation.
    """
    return "strided" if parse(domain).joint and layout in REPEATING else layout


def claimed_layouts(entry: Entry, layouts: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the layouts that the entry does not waive."""
    if Clause.AXIS_ORDER in entry.waivers:
        layouts = tuple(layout for layout in layouts if layout in IN_ORDER)
    if Clause.EQUAL_MAXIMA in entry.waivers:
        layouts = tuple(layout for layout in layouts if layout not in REPEATING)
    return layouts


def special_inputs() -> CaseStrategy:
    """Cases with NaN, infinities, signed zeros and subnormals in the inputs, and nothing but finite
    numbers other than zero in parameters and cotangents.
    """
    base = ordinary(integers=False, empty_batch=False)

    def strategy(entry: Entry, property_name: str, device: str, dtype: str) -> SearchStrategy[Case]:
        cases = base(entry, property_name, device, dtype)
        family = DENSE if Clause.EQUAL_MAXIMA in entry.waivers else SPECIAL
        return cases.map(lambda case: _with_values(case, inputs=family))

    return strategy


def means_of_nothing() -> CaseStrategy:
    """Cases in which nothing is left to take a mean of, as the row draws them."""

    def geometries(row: Row) -> Geometries:
        if row.nothing is None:
            raise ValueError(f"row {row.name} has no means of nothing: nothing can be drawn")
        return row.nothing.geometries

    return ordinary(empty_batch=False, among=geometries)


def dense(limits: Limits) -> CaseStrategy:
    """Cases of dense numbers between -1 and 1 alone: for a comparison with code that is not under
    judgement, and errs where an activation saturates.
    """
    base = ordinary(integers=False, limits=limits)

    def strategy(entry: Entry, property_name: str, device: str, dtype: str) -> SearchStrategy[Case]:
        return base(entry, property_name, device, dtype).map(_with_values)

    return strategy


def every_dtype() -> CaseStrategy:
    """Cases in the dtype asked for and, unless that is a wider one or the entry waives them, in the
    16-bit dtypes. All numbers lie between -1 and 1, or the inputs' between -100 and 100: what is
    to be returned fits into 16 bits, and a sum of squares on the way to it may not.
    """

    def strategy(entry: Entry, property_name: str, device: str, dtype: str) -> SearchStrategy[Case]:
        cases = dense(SMALL)(entry, property_name, device, dtype)
        if dtype != "float32" or Clause.SIXTEEN_BITS not in entry.have:
            return cases
        dtypes = st.sampled_from([dtype, "float16", "bfloat16"])
        saturating = [] if Clause.SATURATION in entry.waivers else [HUNDREDS, HUNDREDS]
        inputs = st.sampled_from([DENSE, *saturating])

        def narrowed(case: Case, drawn: str, family: str) -> Case:
            return _with_values(replace(case, dtype=drawn), inputs=family)

        return st.builds(narrowed, cases, dtypes, inputs)

    return strategy


def _with_values(case: Case, inputs: str = DENSE) -> Case:
    """The case with inputs of that family, as far as they may hold any number, and all else
    dense.
    """

    def valued(spec: TensorSpec) -> TensorSpec:
        free = spec.role is Role.INPUT and spec.domain == REAL
        return replace(spec, values=replace(spec.values, family=inputs if free else DENSE))

    return replace(case, tensors=tuple(map(valued, case.tensors)))


def refused_uses() -> CaseStrategy:
    """Uses that the row says must be refused; what must be raised stands among the options."""

    def strategy(entry: Entry, property_name: str, device: str, dtype: str) -> SearchStrategy[Case]:
        if entry.row.refusals is None:
            raise ValueError(f"row {entry.row.name} has no refusals: nothing can be drawn from it")
        refusals = entry.row.refusals()

        @st.composite
        def case(draw: DrawFn) -> Case:
            refusal = draw(refusals)
            given = [
                (Role.INPUT, refusal.geometry.inputs),
                (Role.PARAMETER, refusal.geometry.parameters),
            ]
            tensors = tuple(
                TensorSpec(name, role, shape, Values("dense"))
                for role, named in given
                for name, shape in named
            )
            expected = (("when", refusal.when), ("error", refusal.error), ("says", refusal.says))
            return Case(
                entry.spec,
                refusal.geometry.layer,
                tensors,
                property_name,
                dtype,
                device,
                options=expected,
            )

        return case()

    return strategy
