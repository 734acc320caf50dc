"""What a run of the suite found, as plain data: the matrix layer x property x device x dtype.

`summary.json` holds it; the terminal, the pages and the verdict are made from it.
`summary.schema.json` beside this file is the format; docs/report.md explains it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from verification.cases.schemas import misfit

SCHEMA_VERSION = 1
FILE_NAME = "summary.json"


class Status(IntEnum):
    """The exit status of every command."""

    RIGHT = 0
    WRONG = 1
    COULD_NOT_RUN = 2


class Result(StrEnum):
    """How one cell of the matrix ended."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN = "known"  # failed, in no other way than the baseline says
    NOT_EXERCISED = "not exercised"
    NO_VERDICT = "no verdict"  # planned, and nothing came back


@dataclass(frozen=True)
class Failure:
    """One failure of a cell: what is wrong in a sentence and in full, the case file, the command
    that replays it, the entries that were compared, as a Compared's dict (a number that is not
    finite is its name there), the cause: "weight gradient value", "died"; and when it happens, as
    far as the cases tell: "whenever groups > 1; 7 of 100 cases", 7 being how many `failed`.
    """

    sentence: str
    text: str = ""
    case: str | None = None
    replay: str = ""
    compared: Mapping[str, Any] | None = None
    cause: str = ""
    when: str = ""
    failed: int = 0


@dataclass(frozen=True)
class Cell:
    """One campaign and its end.

    decides: "correctness", or "contract" for what a foreign layer need not promise. unjudged:
    examples without a verdict, by reason. counts: what the property counted. reach: the examples in
    each cell of the geometry.
    """

    layer: str
    property: str
    family: str
    decides: str
    device: str
    dtype: str
    result: Result
    reason: str = ""
    failures: tuple[Failure, ...] = ()
    examples: int = 0
    seconds: float = 0.0
    unjudged: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    reach: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NotApplicable:
    """A property that a layer cannot be asked to keep, and what it lacks for it."""

    layer: str
    property: str
    missing: tuple[str, ...]


class Known(NamedTuple):
    """A failure of a baseline: whose it is, of which property, and what was wrong in which way."""

    layer: str
    property: str
    cause: str

    def __str__(self) -> str:
        return f"{self.layer}, {self.property.replace('_', ' ')}, {self.cause}"


@dataclass(frozen=True)
class Summary:
    """A whole run. seconds: wall time. provenance: versions, platform, commit, profile. known: the
    baseline that the run was held to.
    """

    cells: tuple[Cell, ...]
    not_applicable: tuple[NotApplicable, ...] = ()
    seconds: float = 0.0
    provenance: Mapping[str, str | None] = field(default_factory=dict)
    known: tuple[Known, ...] = ()

    def results(self) -> Counter[Result]:
        """How many cells ended in each way."""
        return Counter(cell.result for cell in self.cells)

    def possible_results(self) -> list[Result]:
        """The ways in which a cell may end: `known` only where there is a baseline."""
        return [result for result in Result if result is not Result.KNOWN or self.known]

    def of(self, result: Result) -> list[Cell]:
        """The cells that ended in one way."""
        return [cell for cell in self.cells if cell.result is result]

    @property
    def examples(self) -> int:
        """Examples of all cells."""
        return sum(cell.examples for cell in self.cells)

    def counts(self) -> Counter[str]:
        """What the properties counted, over all cells."""
        return _added(cell.counts for cell in self.cells)

    def reach(self, layer: str) -> Counter[str]:
        """Examples in each cell of the geometry that one layer's campaigns drew."""
        return _added(cell.reach for cell in self.cells if cell.layer == layer)

    def layers(self) -> list[str]:
        """The layers, in the order of the catalogue."""
        return list(dict.fromkeys(cell.layer for cell in self.cells))

    def to_dict(self) -> dict[str, Any]:
        """Ready for json.dumps, the totals beside the cells."""
        totals = {result.value: self.results()[result] for result in Result}
        return {
            "schema": SCHEMA_VERSION,
            "totals": {
                **totals,
                "examples": self.examples,
                "seconds": self.seconds,
                "counts": dict(self.counts()),
            },
            "provenance": dict(self.provenance),
            "cells": [asdict(cell) for cell in self.cells],
            "not_applicable": [asdict(pair) for pair in self.not_applicable],
            "known": [known._asdict() for known in self.known],
        }

    def write(self, folder: Path) -> Path:
        """Write summary.json into a folder; its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE_NAME
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")
        return path


def read(folder: Path) -> Summary:
    """The summary in a folder.

    Raises:
        ValueError: there is none, or it is not one of this version.
    """
    path = folder / FILE_NAME
    try:
        return from_dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise ValueError(f"{path} is not there: run `python -m verification run` first") from None
    except ValueError as error:
        raise ValueError(f"{path} is no summary of a run: {error}") from None


def from_dict(data: Mapping[str, Any]) -> Summary:
    """The summary that `to_dict` wrote; ValueError names the field of what is none."""
    version = data.get("schema", SCHEMA_VERSION) if isinstance(data, dict) else SCHEMA_VERSION
    if version != SCHEMA_VERSION:  # its other fields may be anything
        raise ValueError(f"schema {version!r}, this version reads {SCHEMA_VERSION}")
    wrong = misfit(data, "verification.report", "summary.schema.json")
    if wrong is not None:
        raise ValueError(wrong)
    return Summary(
        tuple(_cell(cell) for cell in data["cells"]),
        tuple(
            NotApplicable(pair["layer"], pair["property"], tuple(pair["missing"]))
            for pair in data["not_applicable"]
        ),
        data["totals"]["seconds"],
        data["provenance"],
        tuple(Known(**known) for known in data["known"]),
    )


def _cell(data: dict[str, Any]) -> Cell:
    failures = tuple(Failure(**failure) for failure in data["failures"])
    return Cell(**{**data, "result": Result(data["result"]), "failures": failures})


def _added(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return total
