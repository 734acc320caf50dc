"""What `check` does with a subject: one campaign after another, and what they found."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck

from verification import catalogue
from verification.cases.provenance import provenance
from verification.properties import PROPERTIES
from verification.properties.registry import Decides, Property, in_order
from verification.references.clauses import DECIDING, Clause
from verification.report.failure import cause_of, failure_of, save_case
from verification.report.summary import Cell, Failure, NotApplicable, Result, Summary
from verification.report.verdict import Report
from verification.running.campaign import Tally, hunt
from verification.running.causes import survey
from verification.running.minimise import minimise
from verification.running.selection import DEVICES, DTYPES, Target, absent, require_known
from verification.subjects.entry import Entry
from verification.subjects.probing.probed import Probed
from verification.trials.discrepancy import Discrepancy, discrepancies
from verification.trials.run_case import Run

Progress = Callable[[Cell, int], None]

CASES = Path("reports/cases")
"""Where case files go unless another folder is given."""


@dataclass(frozen=True)
class Asked:
    """What a check is about, and how far it goes. The fields are `check`'s arguments."""

    properties: Sequence[str] = ()
    devices: Sequence[str] = ("cpu",)
    dtypes: Sequence[str] = ("float32", "float64")
    examples: int = 100
    seconds: float = math.inf
    contract: bool = False
    waive: Mapping[Clause, str] = field(default_factory=dict)
    cases: Path = CASES

    def __post_init__(self) -> None:
        if self.examples < 1:
            raise ValueError(f"examples is {self.examples}: give a number from 1 on")
        if not self.seconds > 0:
            raise ValueError(f"seconds is {self.seconds}: give a positive number")
        require_known("property", self.properties, PROPERTIES)
        require_known("device", self.devices, DEVICES)
        require_known("dtype", self.dtypes, DTYPES)

    @property
    def chosen(self) -> list[Property]:
        """The properties in the order in which a report shows them."""
        return [PROPERTIES[n] for n in self.properties] or in_order(PROPERTIES.values())

    @property
    def settings(self) -> hypothesis.settings:
        """The same examples on every run."""
        return hypothesis.settings(
            max_examples=self.examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )


@dataclass(frozen=True)
class Subject:
    """A layer under judgement: its entry, what runs its cases, what was found out about it, and why
    it runs in this process, empty if it does not.
    """

    entry: Entry
    run: Run
    found: Probed
    unsupervised: str = ""


def judged(subject: Subject, asked: Asked, progress: Progress | None) -> Report:
    """The report on a subject, campaign by campaign."""
    started = time.perf_counter()
    entry = replace(subject.entry, waivers={**subject.entry.waivers, **asked.waive})
    targets = list(_targets(entry, asked))
    found: list[Cell] = []
    explained: set[str] = set()
    for number, target in enumerate(targets):
        left = asked.seconds - (time.perf_counter() - started)
        share = left / (len(targets) - number)
        found.append(_judge(target, asked, subject.run, share, explained))
        explained.update(failure.cause for failure in found[-1].failures if failure.when)
        if progress is not None:
            progress(found[-1], len(targets) - number - 1)
    missing = [
        NotApplicable(entry.name, prop.name, prop.missing(entry))
        for prop in asked.chosen
        if prop.missing(entry)
    ]
    seconds = time.perf_counter() - started
    summary = Summary(tuple(found), tuple(missing), seconds, provenance())
    return Report(
        entry.name,
        entry.row.name,
        asked.contract,
        summary,
        subject.unsupervised,
        subject.found,
        {clause.value: reason for clause, reason in asked.waive.items()},
    )


def lenient(entry: Entry) -> Entry:
    """The same without the cases that only the contract promises to handle."""
    waived = dict.fromkeys(set(Clause) - DECIDING, "no part of the verdict")
    return replace(entry, waivers={**waived, **entry.waivers})


def _targets(entry: Entry, asked: Asked) -> Iterator[Target]:
    """The campaigns, property by property. Where the contract does not decide, correctness is asked
    without the cases that only the contract promises to handle.
    """
    for prop in asked.chosen:
        decides = asked.contract or prop.decides is Decides.CONTRACT
        judged = entry if decides or prop.missing(lenient(entry)) else lenient(entry)
        if not prop.missing(judged):
            for device in asked.devices:
                yield from (Target(judged, prop, device, dtype) for dtype in asked.dtypes)


def _failures(
    found: list[Discrepancy], target: Target, asked: Asked, run: Run, explained: Collection[str]
) -> list[Failure]:
    """The failures with their case files, and when each of them happens unless its cause has been
    `explained` already. Causes that the campaign did not meet before it shrank others are added.
    """
    decides = asked.contract or target.prop.decides is Decides.CORRECTNESS
    new = decides and any(cause_of(d) not in explained for d in found)
    # A death costs the start of a process, and a budget of time is for the verdict.
    if not new or asked.seconds < math.inf or any(d.finding.kind == "died" for d in found):
        return [failure_of(d, save_case(d, asked.cases)) for d in found]
    surveyed = survey(*target, settings=asked.settings, run=run)
    met = {d.cause for d in found}
    more = [minimise(d, run) for cause, d in surveyed.smallest.items() if cause not in met]
    return [
        replace(
            failure_of(d, save_case(d, asked.cases)),
            when=surveyed.when(d.cause),
            failed=len(surveyed.failed.get(d.cause, ())),
        )
        for d in [*found, *more]
    ]


def _judge(
    target: Target, asked: Asked, run: Run, seconds: float, explained: Collection[str]
) -> Cell:
    reason = absent(target.device)
    if reason is None and seconds <= 0:
        reason = "out of time"
    if reason is not None:
        return Cell(*target.names(), Result.NOT_EXERCISED, reason)
    tally, failures, broken = Tally(), list[Failure](), ""
    with catalogue.added(target.entry):
        try:
            hunt(
                *target,
                tally=tally,
                settings=asked.settings,
                run=run,
                seconds=seconds,
            )
        except Exception as error:
            failures = _failures(list(discrepancies(error)), target, asked, run, explained)
            # What is no discrepancy is a fault of the suite: the other properties go on.
            broken = "" if failures else f"{type(error).__name__}: {error}"
    result, reason = Result.PASSED, tally.nothing_judged() or tally.stopped
    if failures:
        result = Result.FAILED
    elif broken:
        result, reason = Result.NO_VERDICT, broken.splitlines()[0]
    elif tally.nothing_judged():
        result = Result.NOT_EXERCISED
    return Cell(*target.names(), result, reason, tuple(failures), **tally.to_dict())
