"""What was found out about a foreign subject where its code may run: plain data, from which the
process that may not run it draws the subject's cases, and a replay drives the subject.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from verification.cases import LayerCall
from verification.cases.subject_spec import Told
from verification.references.laws.enclosure import Precision
from verification.references.laws.law import Enclosures, Law
from verification.references.row import Row
from verification.strategies.drawing import SearchStrategy
from verification.strategies.geometry import Geometry, Limits
from verification.subjects.loading import Source

Geometries = Callable[[Limits], SearchStrategy[Geometry]]

ZERO = "one of (0.0)"
"""The domain of a parameter that the subject has not."""

KEPT = ("offers", "silent", "absent", "outputs", "against")
"""What, beside the way to drive a subject, one case of it needs; the rest is for drawing cases."""


@dataclass(frozen=True)
class Probed:
    """digest: SHA-256 of the file that holds the subject; source: where it begins. offers: what its
    adapter offers. fixed: arguments of the kind that it does not take, held at one value.
    one_number: those that it takes as one number for all axes. unnamed: those that it takes by no
    name ("same"). given: those that it cannot take None for. axes: how many axes its first input
    may have; any, if empty. silent: tensors whose gradient it never returns. absent: spare
    parameters that it does without. driven: the way to drive it, as Driver.way; against: the same
    of the layer that it is judged against. outputs: those that it returns, all if empty; of a
    described function, those with a derivative. notes: all this in sentences; limits: those of
    them without which no verdict can be read.
    """

    digest: str | None = None
    source: Source | None = None
    offers: tuple[str, ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()
    one_number: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    axes: tuple[int, ...] = ()
    silent: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    driven: Told = ()
    against: Told = ()
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Probed:
        """What `to_dict` wrote, out of JSON."""
        return cls(**{name: _tuples(value) for name, value in data.items()})

    @property
    def told(self) -> Told:
        """What a replay needs of it, as it stands in a SubjectSpec."""
        kept = ((name, getattr(self, name)) for name in KEPT)
        return (*self.driven, *((name, value) for name, value in kept if value))

    @classmethod
    def of(cls, told: Told) -> Probed:
        """From what stands in a SubjectSpec."""
        driven = tuple((name, value) for name, value in told if name not in KEPT)
        return cls(driven=driven, **{name: value for name, value in told if name in KEPT})

    def row(self, kind: Row) -> Row:
        """The row of the kind, as far as this subject takes part in it."""
        nothing = kind.nothing
        if nothing is not None:
            held = dict(self.fixed).get(nothing.argument, nothing.value)
            drawn = replace(nothing, geometries=self._part_of(nothing.geometries))
            nothing = drawn if held == nothing.value else None
        return replace(
            kind,
            law=_Part(kind.law, self) if self.silent or self.absent or self.outputs else kind.law,
            geometries=self._part_of(kind.geometries),
            nothing=nothing,
        )

    def _part_of(self, source: Geometries) -> Geometries:
        """The geometries that the subject takes."""
        said = (self.fixed, self.one_number, self.unnamed, self.given, self.axes)
        if not any((*said, self.absent, self.outputs)):
            return source

        def geometries(limits: Limits) -> SearchStrategy[Geometry]:
            free = source(
                replace(
                    limits,
                    fixed=self.fixed,
                    one_number=frozenset(self.one_number),
                    unnamed=frozenset(self.unnamed),
                    given=frozenset(self.given),
                    axes=frozenset(self.axes),
                )
            )
            return free.filter(self._takes).map(self._reduced)

        return geometries

    def _reduced(self, geometry: Geometry) -> Geometry:
        """The geometry without what the subject has not: labels to ignore, a second bias, an
        output beside the first.
        """
        domains = dict(geometry.domains)
        if "ignore_index" in dict(self.fixed):
            domains = {n: re.sub(r", *ignored=-?\d+", "", text) for n, text in domains.items()}
        domains |= dict.fromkeys(self.absent, ZERO)
        outputs = tuple(n for n in geometry.outputs if not self.outputs or n in self.outputs)
        return replace(geometry, domains=tuple(domains.items()), outputs=outputs)

    def _takes(self, geometry: Geometry) -> bool:
        """Whether the subject takes a geometry: one may have moved an argument to make the rest
        fit, or may choose without being asked.
        """
        arguments = geometry.layer.kwargs
        return (
            all(arguments.get(name, value) == value for name, value in self.fixed)
            and not any(name in arguments and arguments[name] is None for name in self.given)
            and not any(_several(arguments.get(name)) for name in self.one_number)
            and (not self.axes or len(geometry.inputs[0][1]) in self.axes)
        )


def _several(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 1


@dataclass(frozen=True)
class _Part:
    """A law that asks for no output and no gradient that the subject does not return."""

    law: Law
    found: Probed

    def degree(self, call: LayerCall) -> int:
        return self.law.degree(call)

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        outputs = self.law.forward(call, tensors, precision)
        wanted = self.found.outputs or outputs
        return {name: truth for name, truth in outputs.items() if name in wanted}

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        gradients = self.law.backward(call, tensors, cotangents, precision)
        lacking = {*self.found.silent, *self.found.absent}
        return {name: truth for name, truth in gradients.items() if name not in lacking}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
