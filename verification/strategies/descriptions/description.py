"""Inputs in one line each: from "n c h w" and "n labels(c)" to geometries that vary every extent.

    line    = {axis} [domain]
    axis    = name | number | arithmetic without spaces (2*c) | [axis], which may be missing |
              *name, up to two axes | ..., up to two axes of this input's own
    domain  = a kind of `domains`, its arguments expressions of the names | module:function of a
              user's own, which draws a member (see `drawn`)

A name is an extent, and the same extent wherever it stands; no axis at all is a scalar.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from verification.cases import REAL, LayerCall
from verification.strategies.descriptions import domains
from verification.strategies.descriptions.domains import DomainError
from verification.strategies.descriptions.drawn import OWN
from verification.strategies.descriptions.extents import DescriptionError, Expression, expression
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometry import Geometry, Limits, Shape, choices

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 17, 33)
"""Extents to choose from, the simplest first: one, odd and even, one more than a power of two."""

_SEARCHED = 4000
"""Assignments of sizes that are tried to find some that satisfy a relation."""

_MOST_SATISFYING = 200

Runs = Mapping[str, Shape | bool]
"""For every axis that may be missing, whether it is there; for every run of axes, its extents."""

_AXIS = re.compile(r"\[(?P<optional>[^\[\]\s]+)\]|(?P<several>\*[A-Za-z_]\w*|\.\.\.)|(?P<one>.+)")


@dataclass(frozen=True)
class Axis:
    """One axis of an input, or a run of axes.

    extent: None for a run. run: the name of the run, or of the choice whether the axis is there;
    empty for an axis that always is.
    """

    extent: Expression | None
    run: str = ""


@dataclass(frozen=True)
class Described:
    """One input: its axes, and its domain with the expressions that are its arguments."""

    name: str
    line: str
    axes: tuple[Axis, ...]
    words: str = REAL
    arguments: tuple[tuple[str, Expression | str], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names of extents in it."""
        found = [axis.extent for axis in self.axes if axis.extent is not None]
        found += [value for _, value in self.arguments if isinstance(value, Expression)]
        return frozenset().union(*(part.names for part in found))

    @property
    def kind(self) -> domains.Domain:
        """Its domain, whatever the extents."""
        return domains.parse(self.domain(dict.fromkeys(self.names, 1)))

    def shape(self, sizes: Mapping[str, Any], runs: Runs) -> Shape:
        """Its shape for these sizes of the names and these runs of axes."""
        shape: list[int] = []
        for axis in self.axes:
            run = runs.get(axis.run, True)
            if axis.extent is None:
                shape += run if isinstance(run, tuple) else ()
            elif run:
                shape.append(axis.extent(sizes))
        return tuple(shape)

    def domain(self, sizes: Mapping[str, Any]) -> str:
        """Its domain's text, with numbers in the place of names; a user's own is told them all."""
        if OWN.search(self.words):
            extents = (f"{name}={size}" for name, size in sizes.items() if type(size) is int)
            return f"{self.words}({', '.join(extents)})"
        if not self.arguments:
            return self.words
        told = (
            f"{name}{value(sizes) if isinstance(value, Expression) else value}"
            for name, value in self.arguments
        )
        return f"{self.words}({', '.join(told)})"


def described(name: str, line: str) -> Described:
    """One input from its line.

    Raises:
        DescriptionError: the line cannot be read; the message says where.
    """
    where = f"input {name!r}, {line!r}"
    words, arguments, rest = _split_domain(line, where)
    axes = []
    for place, token in enumerate(rest.split()):
        match = _AXIS.fullmatch(token)
        if match is None:
            raise DescriptionError(f"{where}: {token!r} is no axis")
        if match["several"]:
            run = token if token != "..." else f"... {place} of {name}"
            axes.append(Axis(None, run))
        elif match["optional"]:
            axes.append(Axis(expression(match["optional"], where), token))
        else:
            axes.append(Axis(expression(token, where)))
    return Described(name, line, tuple(axes), words, arguments)


def _split_domain(
    line: str, where: str
) -> tuple[str, tuple[tuple[str, Expression | str], ...], str]:
    """The domain's words and arguments at the end of a line, and the axes before it."""
    own = OWN.search(line)
    if own is not None:
        if re.search(r"[\[*]|\.\.\.", line[: own.start()]):
            raise DescriptionError(
                f"{where}: a domain of your own is told the extents, so that no axis may be missing"
            )
        return own[0].strip(), (), line[: own.start()]
    for words in sorted(domains.KINDS, key=len, reverse=True):
        match = re.search(rf"(?:^|\s){words}\s*(?:\((?P<arguments>.*)\))?\s*$", line)
        if match is not None:
            found = _arguments(match["arguments"] or "", where)
            _require_domain(words, found, where)
            return words, found, line[: match.start()]
    stray = re.search(r"(?:^|\s)([A-Za-z ]+)\s*\(", line)
    if stray is not None:
        raise DescriptionError(
            f"{where}: {stray[1].strip()!r} is no domain; choose from {', '.join(domains.KINDS)}"
        )
    return REAL, (), line


def _arguments(text: str, where: str) -> tuple[tuple[str, Expression | str], ...]:
    found: list[tuple[str, Expression | str]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.rpartition("="))
        prefix = f"{name}=" if equals else ""
        # A number as it stands, a sign and a point included; all else are extents.
        is_number = re.fullmatch(domains.NUMBER, value) is not None
        found.append((prefix, value if is_number else expression(value, where)))
    return tuple(found)


def _require_domain(
    words: str, arguments: tuple[tuple[str, Expression | str], ...], where: str
) -> None:
    told = (f"{name}{1 if isinstance(value, Expression) else value}" for name, value in arguments)
    try:
        domains.parse(f"{words}({', '.join(told)})")
    except DomainError as error:
        raise DescriptionError(f"{where}: {error}") from None


class Description:
    """All inputs of a function, the relation between their extents, and its other arguments.

    inputs: one line for each tensor, by name and in the order in which the function takes them.
    where: a relation that the sizes must satisfy ("k <= h"), empty for none. settings: for every
    argument that is no tensor, the values that it takes in turn. same: the extents that may not
    change from one call of a case to the next.

    Raises:
        DescriptionError: it cannot be read, or no sizes satisfy it.
    """

    def __init__(
        self,
        inputs: Mapping[str, str],
        where: str = "",
        settings: Mapping[str, tuple[Any, ...]] | None = None,
        same: tuple[str, ...] = (),
    ) -> None:
        if not inputs:
            raise DescriptionError('there are no inputs: write inputs={"x": "n c"}, say')
        self.inputs = tuple(described(name, line) for name, line in inputs.items())
        self.settings = dict(settings or {})
        self.same = same
        self._require_settings()
        self.relation = expression(where, "where") if where.strip() else None
        self._strategies: dict[Any, SearchStrategy[Geometry]] = {}
        self._require_names()
        self._require_satisfiable()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The extents that are free, in the order in which they are met."""
        met = [name for each in self.inputs for name in sorted(each.names)]
        return tuple(name for name in dict.fromkeys(met) if name not in self.settings)

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """The axes that may be missing, and the runs of axes."""
        return tuple(dict.fromkeys(a.run for each in self.inputs for a in each.axes if a.run))

    def geometries(
        self, limits: Limits, call: LayerCall, outputs: tuple[str, ...] = ("output",)
    ) -> SearchStrategy[Geometry]:
        """Sizes, runs of axes and settings, as a Geometry whose layer is `call` with the settings
        as arguments.
        """
        known = limits.elements, limits.fixed, call, outputs
        if known not in self._strategies:
            self._strategies[known] = self._new_strategy(limits, call, outputs)
        return self._strategies[known]

    def _new_strategy(
        self, limits: Limits, call: LayerCall, outputs: tuple[str, ...]
    ) -> SearchStrategy[Geometry]:
        several = self._satisfying(limits.elements)
        usual = self._usual(limits.elements)

        @st.composite
        def geometry(draw: DrawFn) -> Geometry:
            settings = {n: draw(limits.choose(n, choices(v))) for n, v in self.settings.items()}
            runs: Runs = {run: draw(_runs(run)) for run in self.runs}
            held = {n: size for n, size in limits.fixed if n in self.same}
            sizes = settings | draw(_sizes(self.names, usual)) | held
            self._make_fit(sizes, runs, limits.elements)
            wanted = (settings | held).items()
            if not self._holds(sizes, runs) or not sizes.items() >= wanted:
                others = [s for s in several if s.items() >= wanted]
                if not others and not limits.fixed:
                    others = list(several)
                sizes = dict(draw(st.sampled_from(others) if others else st.nothing()))
                runs = dict.fromkeys(runs, True)
            return self._geometry(call, sizes, runs, outputs)

        return geometry()

    def examples(self, call: LayerCall, count: int) -> list[Geometry]:
        """Some geometries, those with the most different sizes first."""

        def differing(sizes: Mapping[str, Any]) -> tuple[int, int]:
            extents = [sizes[name] for name in self.names]
            return sum(size > 1 for size in extents), len({*extents})

        several = sorted(self._satisfying(Limits().elements), key=differing, reverse=True)
        runs = dict.fromkeys(self.runs, True)
        return [self._geometry(call, sizes, runs) for sizes in several[:count]]

    def _geometry(
        self,
        call: LayerCall,
        sizes: Mapping[str, Any],
        runs: Runs,
        outputs: tuple[str, ...] = ("output",),
    ) -> Geometry:
        settings = {name: sizes[name] for name in self.settings}
        return Geometry(
            call.with_arguments(**settings),
            tuple((each.name, each.shape(sizes, runs)) for each in self.inputs),
            outputs=outputs,
            domains=tuple((each.name, each.domain(sizes)) for each in self.inputs),
            kept=tuple((name, sizes[name]) for name in self.same),
        )

    def _make_fit(self, sizes: dict[str, Any], runs: Runs, elements: int) -> None:
        """Halve the longest extents until every input is small enough."""
        while any(_count(each, sizes, runs) > elements for each in self.inputs):
            longest = max(self.names, key=lambda name: sizes[name], default=None)
            if longest is None or sizes[longest] <= 1:
                return
            sizes[longest] //= 2

    def _holds(self, sizes: Mapping[str, Any], runs: Runs) -> bool:
        """Whether the sizes satisfy the relation, and every input has a member of such a shape."""
        try:
            if self.relation is not None and not self.relation(sizes):
                return False
            for each in self.inputs:
                shape = each.shape(sizes, runs)
                if any(size < 0 for size in shape):
                    return False
                domains.parse(each.domain(sizes)).require_fits(shape)
        except (DomainError, ZeroDivisionError):
            return False
        return True

    def _usual(self, elements: int) -> tuple[int, ...]:
        """The sizes that most extents have: so small that none has to be halved."""
        rank = max(len(each.axes) for each in self.inputs)
        most = elements ** (1 / max(1, rank)) + 1
        return tuple(size for size in SIZES if size <= max(3, most))

    @functools.cache  # noqa: B019 - a description lives as long as its entry
    def _satisfying(self, elements: int) -> tuple[Mapping[str, Any], ...]:
        """Some assignments of sizes that hold, the smallest first."""
        source = random.Random(0)
        everything: Runs = dict.fromkeys(self.runs, True)
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        pools = (SIZES[:1], *(self._usual(elements),) * 3, SIZES)
        for _ in range(_SEARCHED):
            pool = source.choice(pools)
            sizes: dict[str, Any] = {n: source.choice(v) for n, v in self.settings.items()}
            sizes |= {name: source.choice(pool) for name in self.names}
            self._make_fit(sizes, everything, elements)
            if self._holds(sizes, everything):
                found[tuple(sizes.values())] = sizes
                if len(found) >= _MOST_SATISFYING:
                    break
        order = sorted(found.values(), key=lambda s: sum(s[name] for name in self.names))
        return tuple(order)

    def _require_settings(self) -> None:
        for name, values in self.settings.items():
            if not isinstance(values, tuple) or not values:
                raise DescriptionError(
                    f"setting {name!r} is {values!r}: give the values that it takes in turn, as in"
                    f' settings={{"{name}": [1, 2]}}'
                )

    def _require_names(self) -> None:
        known = {*self.names, *self.settings}
        related = self.relation.names if self.relation is not None else frozenset()
        for said, names in (("where", related - known), ("same", {*self.same} - {*self.names})):
            if names:
                raise DescriptionError(
                    f"{said} names {', '.join(sorted(names))}, which no input has; the extents are"
                    f" {', '.join(self.names) or 'none'}"
                )

    def _require_satisfiable(self) -> None:
        if not self._satisfying(Limits().elements):
            self._require_axes_that_fit()
            relation = "" if self.relation is None else f" and where {self.relation.text!r}"
            lines = ", ".join(f"{each.name}: {each.line!r}" for each in self.inputs)
            raise DescriptionError(
                f"no sizes from 1 to {SIZES[-1]} satisfy {lines}{relation}: mend the relation, or"
                " the extents that become negative"
            )

    def _require_axes_that_fit(self) -> None:
        """Raise DescriptionError for a domain that has no member of such axes at any size."""
        sizes = dict.fromkeys(self.names, 2) | {n: v[0] for n, v in self.settings.items()}
        for each in self.inputs:
            try:
                fits = each.kind.require_fits
                fits(each.shape(sizes, dict.fromkeys(self.runs, True)))
            except DomainError as error:
                raise DescriptionError(f"input {each.name!r}, {each.line!r}: {error}") from None


def _count(each: Described, sizes: Mapping[str, Any], runs: Runs) -> int:
    count = 1
    for size in each.shape(sizes, runs):
        count *= max(0, size)
    return count


def _runs(run: str) -> SearchStrategy[Shape | bool]:
    """The axes that a run stands for, or whether an axis that may be left out is there."""
    return st.lists(choices((2, 1, 3)), max_size=2).map(tuple) if run[0] in "*." else st.booleans()


@st.composite
def _sizes(draw: DrawFn, names: tuple[str, ...], usual: tuple[int, ...]) -> dict[str, int]:
    """A size for every name: each its own, now and then one of them any or none, or all equal."""
    if not names:
        return {}
    how = draw(choices(("each", "each", "each", "one is any", "all are equal", "one is 0")))
    if how == "all are equal":
        return dict.fromkeys(names, draw(choices(usual)))
    sizes = {name: draw(choices(usual)) for name in names}
    if how != "each":
        sizes[draw(choices(names))] = draw(choices(SIZES)) if how == "one is any" else 0
    return sizes
