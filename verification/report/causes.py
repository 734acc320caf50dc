"""Failures told apart by cause, the worst first: one line each, over properties and dtypes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from verification.report.summary import Cell, Failure

OF_A_RESULT = (" shape", " dtype", " device", " type")
"""Ends of the causes that name what of a result is wrong."""


@dataclass
class Cause:
    """One way to be wrong, the failures that show it, and the cells of the summary they are in."""

    name: str
    failures: list[Failure] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)

    @property
    def loud(self) -> bool:
        """Whether it shows itself where the layer is used: it raises, or ends its process."""
        return self.name.startswith(("raised", "died"))

    @property
    def failed(self) -> int:
        """In how many of the surveyed cases."""
        return max(failure.failed for failure in self.failures)

    def __str__(self) -> str:
        """`input gradient wrong whenever groups > 1; 7 of 100 cases (gradients match ...)`."""
        plain = self.name.removesuffix(" value")
        what = f"{plain} wrong" if plain != self.name or plain.endswith(OF_A_RESULT) else plain
        when = next((f.when for f in self.failures if ";" in f.when), self.failures[0].when)
        when = f"in {when}" if when[:1].isdigit() else when
        names = dict.fromkeys(cell.property.replace("_", " ") for cell in self.cells)
        first, *more = names
        where = f"{first}, and {len(more)} more" if more else first
        return f"{what} {when} ({where})" if when else f"{what} ({where})"


def causes(cells: Iterable[Cell]) -> list[Cause]:
    """The causes of the failures in these cells: what fails silently is worse than what raises, and
    what breaks many properties, or fails in many cases, is worse than what does in few.
    """
    found: dict[str, Cause] = {}
    for cell, failure in _failures(cells):
        cause = found.setdefault(failure.cause, Cause(failure.cause))
        cause.failures.append(failure)
        cause.cells.append(cell)
    return sorted(found.values(), key=lambda c: (c.loud, -len(c.cells), -c.failed))


def _failures(cells: Iterable[Cell]) -> Iterator[tuple[Cell, Failure]]:
    for cell in cells:
        for failure in cell.failures:
            yield cell, failure
