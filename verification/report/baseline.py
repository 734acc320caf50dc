"""A baseline: the failures that are known already, so that a gate fails on new ones only.

It is the report that an earlier `check --json` wrote. A failure is known by its property and its
cause, which is the tensor that was wrong and how; not by device, dtype or case.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from verification.report import summary
from verification.report.summary import Cell, Result, Summary


class Known(NamedTuple):
    """A failure of the baseline."""

    property: str
    cause: str

    def __str__(self) -> str:
        return f"{self.property.replace('_', ' ')}, {self.cause}"


@dataclass(frozen=True)
class Baseline:
    """The known failures of one layer."""

    layer: str
    known: frozenset[Known]

    @classmethod
    def read(cls, path: Path, layer: str) -> Baseline:
        """The baseline in a file.

        Raises:
            ValueError: there is none, it is no report, or one of another layer.
        """
        try:
            data = json.loads(path.read_text())
            of, cells = data["layer"], summary.from_dict(data).cells
        except FileNotFoundError:
            raise ValueError(
                f"baseline {path} is not there: `check --json {path}` writes it"
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"baseline {path} is no report of a check: {error!r}") from None
        if of != layer:
            raise ValueError(f"baseline {path} is of {of}, not of {layer}")
        return cls(of, frozenset(_causes(cells)))

    def new(self, cells: Sequence[Cell]) -> list[Cell]:
        """The failing cells among these that show something not known."""
        return [cell for cell in cells if not self.known.issuperset(_causes([cell]))]

    def lines(self, found: Summary) -> Iterator[str]:
        """What is known, and which of it is gone, or was not looked at this time."""
        failing = set(_causes(found.of(Result.FAILED)))
        judged = {c.property for c in found.cells if c.result in (Result.PASSED, Result.FAILED)}
        for known in sorted(self.known):
            if known in failing:
                yield f"known: {known}"
            elif known.property in judged:
                yield f"gone: {known}; take it out of the baseline"
            else:
                yield f"known, not exercised: {known}"


def _causes(cells: Sequence[Cell]) -> Iterator[Known]:
    for cell in cells:
        yield from (Known(cell.property, failure.cause) for failure in cell.failures)
