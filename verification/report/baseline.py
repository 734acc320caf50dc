"""A baseline: the failures that are known already, so that a gate fails on new ones only.

It is what an earlier run left: the suite's summary.json, or the report of `check --json`. A failure
is known by its layer, its property and its cause, which is the tensor that was wrong and how; not
by device, dtype or case. What has no cause, such as a fault of the suite itself, is always new.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from verification.report import summary
from verification.report.summary import Cell, Failure, Known, Result, Summary


@dataclass(frozen=True)
class Baseline:
    """The known failures."""

    known: frozenset[Known] = frozenset()

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """The baseline in a file.

        Raises:
            ValueError: there is none, or it is no report of a run.
        """
        try:
            found = summary.from_dict(json.loads(path.read_text()))
        except FileNotFoundError:
            raise ValueError(
                f"baseline {path} is not there: it is a run's summary.json, or what"
                " `check --json` writes"
            ) from None
        except (ValueError, OSError) as error:
            raise ValueError(f"baseline {path} is no report of a run: {error}") from None
        causes = (cause for cell in found.cells for cause in _causes(cell))
        return cls(frozenset(known for known in causes if known.cause))

    def excuses(self, layer: str, name: str, failures: Iterable[Failure]) -> bool:
        """Whether all failures of a layer's property are known, and there are some."""
        causes = {Known(layer, name, failure.cause) for failure in failures}
        return bool(causes) and self.known.issuperset(causes)

    def applied(self, found: Summary) -> Summary:
        """The same run: a cell that shows only what is known has the result `known`."""
        cells = tuple(
            replace(cell, result=Result.KNOWN)
            if self.excuses(cell.layer, cell.property, cell.failures)
            else cell
            for cell in found.cells
        )
        return replace(found, cells=cells, known=tuple(sorted(self.known)))


def baseline_lines(found: Summary) -> Iterator[str]:
    """What the run's baseline knew, and which of it is gone, or was not looked at this time."""
    failing = {cause for cell in found.cells for cause in _causes(cell)}
    decided = (Result.PASSED, Result.FAILED, Result.KNOWN)
    judged = {(c.layer, c.property) for c in found.cells if c.result in decided}
    for known in found.known:
        if known in failing:
            yield f"known: {known}"
        elif (known.layer, known.property) in judged:
            yield f"gone: {known}; take it out of the baseline"
        else:
            yield f"known, not exercised: {known}"


def _causes(cell: Cell) -> Iterator[Known]:
    for failure in cell.failures:
        yield Known(cell.layer, cell.property, failure.cause)
