"""A Discrepancy: what was wrong, said so that no reader needs to know the test.

Hypothesis tells failures apart by exception type and line. So every (property, tensor, kind) has a
subclass of its own, made once: independent failures of one test are then shrunk and reported one by
one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from verification.cases import Case

MOST_COMPARED = 256
"""Entries that a tensor may have to be kept whole."""


@dataclass(frozen=True)
class Compared:
    """What was compared: all entries of a tensor of at most MOST_COMPARED, otherwise the worst.

    shape: the tensor's. places: flat indices of the entries, the worst entry first. got, expected,
    bound: one number for each place.
    """

    shape: tuple[int, ...]
    places: tuple[int, ...]
    got: tuple[float, ...]
    expected: tuple[float, ...]
    bound: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Compared:
        """What `to_dict` wrote, out of JSON."""
        return cls(**{name: tuple(numbers) for name, numbers in data.items()})


@dataclass(frozen=True)
class Finding:
    """The facts of a discrepancy, as plain data.

    kind: "value", "shape", "dtype", "device", "mutated", "aliased", "raised", "not raised", ... ;
    what is told apart.
    tensor: the tensor that is wrong ("output", "weight gradient", ...), or "" where none is.
    entry, got, expected, bound: the worst entry, where there is one. wrong, total: entries off,
    entries compared. compared: the entries themselves, for pictures; no part of `to_dict`.
    """

    kind: str
    tensor: str
    sentence: str
    entry: tuple[int, ...] | None = None
    got: float | None = None
    expected: float | None = None
    bound: float | None = None
    wrong: int | None = None
    total: int | None = None
    compared: Compared | None = None

    def to_dict(self) -> dict[str, Any]:
        """The facts that are there, as a JSON-ready dict."""
        facts = asdict(replace(self, compared=None))
        return {name: value for name, value in facts.items() if value is not None}


class Discrepancy(AssertionError):
    """A layer departs from what must hold. `case` is the experiment that shows it; `shapes` are
    those of its cotangents, as far as outputs supplied them before it failed.
    """

    def __init__(self, property_name: str, finding: Finding, case: Case) -> None:
        super().__init__(finding.sentence)
        self.property_name = property_name
        self.finding = finding
        self.case = case
        self.shapes: dict[str, tuple[int, ...]] = {}

    @property
    def cause(self) -> tuple[str, str, str]:
        """What tells this failure from another: property, tensor, kind."""
        return self.property_name, self.finding.tensor, self.finding.kind

    @staticmethod
    def of(property_name: str, finding: Finding, case: Case) -> Discrepancy:
        """A discrepancy of the subclass that belongs to its cause."""
        return _class_of(property_name, finding.tensor, finding.kind)(property_name, finding, case)


def discrepancies(error: BaseException | None) -> Iterator[Discrepancy]:
    """The discrepancies that an error is, or groups."""
    if isinstance(error, Discrepancy):
        yield error
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from discrepancies(inner)


@functools.cache
def _class_of(property_name: str, tensor: str, kind: str) -> type[Discrepancy]:
    return type("Discrepancy", (Discrepancy,), {"__doc__": f"{property_name}: {tensor} {kind}"})
