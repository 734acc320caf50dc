"""When a failure happens: the condition that tells the cases that fail from those that do not.

A campaign stops soon after a failure and shrinks it. So the same cases are drawn once more and all
of them are run; the cells of strategies/reach.py that a case is in are what a condition is made of.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import hypothesis

from verification.cases import Case
from verification.properties.registry import Property
from verification.running.campaign import drawn
from verification.strategies.reach import cells
from verification.subjects.entry import Entry
from verification.trials.discrepancy import Discrepancy
from verification.trials.outcome import Passed, Weak
from verification.trials.run_case import Run

ENOUGH = 3
"""So many cases must have failed before what they share is said: one shares all with itself."""

Cells = frozenset[str]
Kind = tuple[str, str, str]
"""What tells failures apart: a Discrepancy's cause."""


@dataclass(frozen=True)
class Survey:
    """The cases of a campaign by their end: of those that failed their cells by cause, of those
    that passed their cells. smallest: for each cause the failure of the fewest elements.
    """

    failed: dict[Kind, tuple[Cells, ...]]
    passed: tuple[Cells, ...]
    smallest: dict[Kind, Discrepancy]

    def when(self, cause: Kind) -> str:
        """When a failure happens, and how often: "whenever groups > 1; 7 of 100 cases"."""
        failed = self.failed.get(cause, ())
        judged = len(self.passed) + sum(map(len, self.failed.values()))
        others = [c for other, found in self.failed.items() if other != cause for c in found]
        found = condition(failed, [*self.passed, *others])
        return "; ".join(filter(None, (found, f"{len(failed)} of {judged} cases")))


def survey(
    entry: Entry,
    prop: Property,
    device: str,
    dtype: str,
    *,
    settings: hypothesis.settings,
    run: Run,
) -> Survey:
    """Run the cases of a campaign, all of them."""
    failed: dict[Kind, list[Cells]] = {}
    smallest: dict[Kind, Discrepancy] = {}
    passed: list[Cells] = []
    for case in drawn(entry, prop, device=device, dtype=dtype, settings=settings):
        outcome = run(case)
        if isinstance(outcome, Discrepancy):
            failed.setdefault(outcome.cause, []).append(facts(case))
            other = smallest.setdefault(outcome.cause, outcome)
            smallest[outcome.cause] = min(other, outcome, key=lambda found: _elements(found.case))
        elif isinstance(outcome, (Passed, Weak)):
            passed.append(facts(case))
    by_cause = {cause: tuple(found) for cause, found in failed.items()}
    return Survey(by_cause, tuple(passed), smallest)


def _elements(case: Case) -> int:
    return sum(math.prod(spec.shape) for spec in case.tensors if spec.shape is not None)


def condition(failed: Sequence[Cells], passed: Sequence[Cells]) -> str:
    """What holds for every case that failed and for none that passed; where no such thing,
    what holds for every case that failed and for few of the others; empty if nothing tells.
    """
    if len(failed) < ENOUGH:
        return ""
    if not passed:
        return "always"
    shared = frozenset.intersection(*failed)
    tells = _exact(shared, _ever(failed), passed)
    if tells:
        return tells
    seldom = {cell: sum(cell in case for case in passed) for cell in sorted(shared)}
    cell = min(seldom, key=lambda name: seldom[name], default="")
    return f"only where {cell}" if cell and 2 * seldom[cell] < len(passed) else ""


def _exact(shared: Cells, ever: Cells, passed: Sequence[Cells]) -> str:
    """One cell, one that is missing, or two together."""
    for cell in sorted(shared, key=_plainness):
        if not any(cell in case for case in passed):
            return f"whenever {cell}"
    missing = frozenset.intersection(*passed) - ever
    for cell in sorted(missing, key=_plainness):
        return f"unless {cell}"
    for first, second in itertools.combinations(sorted(shared, key=_plainness), 2):
        if not any(first in case and second in case for case in passed):
            return f"whenever {first}, and {second}"
    return ""


def _plainness(cell: str) -> tuple[bool, str]:
    """Arguments and shapes explain more than the numbers in a tensor."""
    return cell.endswith(("values", "input", "parameter", "cotangent")), cell


def _ever(cases: Iterable[Cells]) -> Cells:
    return frozenset(itertools.chain.from_iterable(cases))


def facts(case: Case) -> Cells:
    """The cells that a case is in, and what its layer's arguments are."""
    found = set(cells(case))
    for call in case.layer.walk():
        for name, value in call.arguments:
            numbers = value if isinstance(value, tuple) else (value,)
            if isinstance(value, (bool, str)) or value is None:
                found.add(f"{name}={value!r}")
            elif all(isinstance(n, (int, float)) for n in numbers):
                found.update({f"{name} > {least}" for least in (0, 1) if max(numbers) > least})
    return frozenset(found)
