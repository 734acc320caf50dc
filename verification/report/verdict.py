"""The verdict on one layer: right or wrong, with what shows it, and what was not exercised."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from verification.properties.registry import Decides
from verification.report.causes import causes
from verification.report.summary import Cell, Result, Summary
from verification.report.terminal import not_exercised_lines
from verification.subjects.probing.probed import Probed
from verification.trials.outcome import WEAK

SHOWN = 3
"""Causes of which a failure is shown in full."""

MEANT_OTHERWISE = (
    "every property fails: a layer that is right, and meant otherwise than was found, is told with"
    " --hold, --axes, --rename, --layout or --held, or wrapped in a function"
)
"""A fault seldom breaks everything; a layer that takes or returns another shape does."""


class LayerIsWrong(AssertionError):
    """A layer that `verification.check` judged wrong; the message is the report."""


@dataclass(frozen=True)
class Report:
    """What `verification.check` found of one layer.

    unsupervised: why it ran in the caller's own process; empty if it ran in a child. found: what
    was found out about where it stands and how it is built and driven; its limits stand in the
    verdict. waived: the clauses that its user does not claim for it, with the reasons.
    """

    layer: str
    like: str
    contract: bool
    summary: Summary
    unsupervised: str = ""
    found: Probed = field(default_factory=Probed)
    waived: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> list[Cell]:
        """The cells that make the layer wrong."""
        return [cell for cell in self.summary.of(Result.FAILED) if self._decides(cell)]

    @property
    def beside(self) -> list[Cell]:
        """Broken clauses of the contract that were not asked to decide."""
        return [cell for cell in self.summary.of(Result.FAILED) if not self._decides(cell)]

    @property
    def undecided(self) -> list[Cell]:
        """Cells that would decide and that ended without a verdict, by a fault of the suite."""
        return [cell for cell in self.summary.of(Result.NO_VERDICT) if self._decides(cell)]

    @property
    def judged(self) -> list[Cell]:
        """The cells that decide and that ended in a verdict."""
        return [
            cell
            for cell in self.summary.cells
            if cell.result in (Result.PASSED, Result.FAILED) and self._decides(cell)
        ]

    @property
    def ok(self) -> bool:
        """Whether something was judged, nothing that decides has failed, and nothing is open."""
        return bool(self.judged) and not self.failures and not self.undecided

    @property
    def _wrong(self) -> int:
        """How many properties make the layer wrong."""
        return len(_by_property(self.failures))

    def _decides(self, cell: Cell) -> bool:
        return self.contract or cell.decides == Decides.CORRECTNESS

    def to_dict(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        return {
            "layer": self.layer,
            "like": self.like,
            "contract": self.contract,
            "ok": self.ok,
            "unsupervised": self.unsupervised,
            "found": list(self.found.notes),
            "limits": list(self.found.limits),
            "waived": dict(self.waived),
            **self.summary.to_dict(),
        }

    def raise_for_failure(self) -> None:
        """Raise LayerIsWrong, with the report as its message, unless the layer is right."""
        if not self.ok:
            raise LayerIsWrong(str(self))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        found = causes(self.failures)
        for cause in found[:SHOWN]:
            yield cause.failures[0].text
            yield ""
        if found:
            yield "causes, the worst first:"
        yield from (f"  {number}. {cause}" for number, cause in enumerate(found, 1))
        yield from self._contract({cause.name for cause in found})
        yield from not_exercised_lines(self.summary)
        for cell in self.summary.of(Result.PASSED):
            if cell.reason:
                yield f"cut short: {_readable(cell.property)}, {cell.dtype}: {cell.reason}"
        yield from self._weak()
        for cell in self.summary.of(Result.NO_VERDICT):
            yield f"no verdict on {_readable(cell.property)}, {cell.dtype}: {cell.reason}"
        yield from (f"found: {note}" for note in self.found.notes)
        yield from (f"waived: {clause}: {why}" for clause, why in self.waived.items())
        if self.found.driven and 1 < len(_by_property(self.judged)) == self._wrong:
            yield MEANT_OTHERWISE
        if self.unsupervised:
            yield f"unsupervised, in this process: {self.unsupervised}"
        yield self._verdict()

    def _contract(self, known: Set[str]) -> Iterator[str]:
        """The broken clauses that do not decide; those that stop at a cause that is `known` from
        above say nothing of the contract, and share a line.
        """
        if self.beside:
            yield "the layer contract, beside the verdict:"
        stopped = []
        for name, cells in _by_property(self.beside).items():
            if all(failure.cause in known for cell in cells for failure in cell.failures):
                stopped.append(_readable(name))
            else:
                yield f"  {_readable(name)}: {_where(cells)}"
        if stopped:
            yield f"  open, for the causes above: {', '.join(stopped)}"

    def _weak(self) -> Iterator[str]:
        """Which results missed the strict bound, and how often."""
        for name, cells in _by_property(list(self.summary.cells)).items():
            weak = sum(cell.counts.get(WEAK, 0) for cell in cells)
            if weak:
                examples = sum(cell.examples for cell in cells)
                yield f"weak accuracy: {_readable(name)}: {weak} of {examples} examples"

    def _verdict(self) -> str:
        asked = len(_by_property(self.judged))
        if not asked:
            word = "nothing was judged"
        elif self.failures:
            word = f"WRONG: {self._wrong} of {asked} properties fail"
            if all(cause.loud for cause in causes(self.failures)):
                word += ", all by errors: no wrong number was seen"
        elif self.undecided:
            word = f"no verdict: {len(_by_property(self.undecided))} properties are open"
        else:
            word = f"right: {asked} properties hold"
        return (
            f"{self.layer} as {self.like}: {'; '.join((word, *self.found.limits))}"
            f" ({self.summary.examples} examples, {self.summary.seconds:.0f} s)"
        )


def _by_property(cells: list[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.property, []).append(cell)
    return found


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _where(cells: list[Cell]) -> str:
    places = ", ".join(f"{cell.dtype} {cell.device}" for cell in cells)
    return f"{cells[0].failures[0].sentence} ({places})"
