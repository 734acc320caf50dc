"""The campaign of one property against one subject: Hypothesis draws Cases until one fails, and
shrinks it.

`hunt` alone runs Hypothesis. Pytest's items, the command line and `verification.check` all call it.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy

from verification.cases import Case
from verification.properties.registry import Property
from verification.running.minimise import minimise
from verification.strategies.reach import cells
from verification.subjects.entry import Entry
from verification.trials.discrepancy import Discrepancy, discrepancies
from verification.trials.outcome import WEAK, Died, NotExercised, Outcome, Passed, Weak
from verification.trials.run_case import Run, run_case

MOST_DEATHS = 3
"""So many deaths of its child process end a campaign: each costs the start of a new one."""

SMALL = 16
"""Elements of the largest tensor up to which a shrunk case is small enough to be read."""

Campaign = Callable[[], None]


@dataclass
class Tally:
    """What a campaign did: examples run, those without a verdict by reason, what was counted, and
    the examples in each cell of the geometry. stopped: why it ended before it was through.
    """

    examples: int = 0
    stopped: str = ""
    unjudged: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    reach: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, case: Case, outcome: Outcome) -> None:
        """Count one example and its outcome."""
        self.examples += 1
        self.reach.update(cells(case))
        if isinstance(outcome, NotExercised):
            self.unjudged[outcome.reason] += 1
        elif isinstance(outcome, (Passed, Weak)):
            self.counts.update(dict(outcome.counts))
        if isinstance(outcome, Weak):
            self.counts[WEAK] += 1

    def nothing_judged(self) -> str:
        """Why no example had a verdict; empty if one had."""
        if self.examples == 0 or self.unjudged.total() < self.examples:
            return ""
        return f"nothing to judge in {self.examples} examples: {self.unjudged.most_common(1)[0][0]}"

    def to_dict(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        return {
            "examples": self.examples,
            "unjudged": dict(self.unjudged),
            "counts": dict(self.counts),
            "reach": dict(self.reach),
            "seconds": self.seconds,
        }


def hunt(
    entry: Entry,
    prop: Property,
    device: str = "cpu",
    dtype: str = "float32",
    *,
    tally: Tally | None = None,
    settings: hypothesis.settings | None = None,
    run: Run = run_case,
    seed: int | None = None,
    seconds: float = math.inf,
) -> Tally:
    """Draw, run and judge Cases, under the settings of Hypothesis's current profile unless others
    are given; `run` runs each of them. A seed draws the same Cases in every run. After so many
    seconds no more are drawn, and a failure is left as far as it is shrunk.

    Raises:
        Discrepancy: the property fails; its `case` is shrunk and its values are simplified, unless
            the layer died of it.
        ExceptionGroup: several independent failures, one Discrepancy each.
    """
    tally = Tally() if tally is None else tally
    started = time.perf_counter()
    watched = _Watched(run, started + seconds)

    def experiment(case: Case) -> None:
        outcome = watched.run(case)
        tally.add(case, outcome)
        if isinstance(outcome, Discrepancy):
            raise outcome
        if watched.enough:
            tally.stopped = f"{watched.enough}, after {tally.examples} examples"
            raise _Enough

    campaign = _campaign(experiment, entry, prop, device, dtype, settings)
    if seed is not None:
        campaign = hypothesis.seed(seed)(campaign)

    def among_small(experiment: Callable[[Case], None]) -> Callable[[], None]:
        return _campaign(experiment, entry, prop, device, dtype, settings, most=SMALL)

    try:
        found = _failures(campaign, watched, among_small)
    finally:
        tally.seconds += time.perf_counter() - started
    if len(found) > 1:
        raise ExceptionGroup(f"{len(found)} independent failures", found)
    if found:
        raise found[0]
    return tally


def drawn(
    entry: Entry,
    prop: Property,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    settings: hypothesis.settings | None = None,
) -> list[Case]:
    """The Cases that a campaign draws before it meets a failure, and would draw without one."""
    cases: list[Case] = []
    settled = hypothesis.settings() if settings is None else settings
    only = hypothesis.settings(settled, phases=[Phase.generate], database=None)
    _campaign(cases.append, entry, prop, device, dtype, only)()
    return cases


def _campaign(
    experiment: Callable[[Case], None],
    entry: Entry,
    prop: Property,
    device: str,
    dtype: str,
    settings: hypothesis.settings | None,
    most: int | None = None,
) -> Campaign:
    """The experiment under Hypothesis, on cases of the property; on those whose tensors have at
    most so many elements.
    """

    def experimented(case: Case) -> None:
        experiment(case)

    # Hypothesis keys its database and its derandomised seed by a function's source and signature,
    # which all campaigns share but for the name that is written into this one's.
    name = re.sub(r"\W", "_", f"{entry.name}_{prop.name}_{device}_{dtype}")
    experimented.__name__ = experimented.__qualname__ = name
    experimented.__annotations__["return"] = name
    settled = hypothesis.settings() if settings is None else settings
    # "explain" traces every line to say which ones fail; the case file says it better.
    phases = [phase for phase in settled.phases if phase is not Phase.explain]
    # Time says nothing of correctness, and the profile may be the caller's, which has a deadline.
    examples = math.ceil(settled.max_examples * prop.share)
    wanted = hypothesis.settings(settled, phases=phases, deadline=None, max_examples=examples)
    cases = prop.cases(entry, prop.name, device, dtype)
    if most is not None:
        experimented.__name__ = f"{name}_{most}"
        cases = cases.filter(lambda case: _size(case) <= most)
        rare = list(HealthCheck)
        wanted = hypothesis.settings(wanted, database=None, suppress_health_check=rare)
    campaign: Campaign = wanted(given(_each_drawn_anew(cases))(experimented))
    return campaign


def _failures(
    campaign: Campaign,
    watched: _Watched,
    among_small: Callable[[Callable[[Case], None]], Campaign],
) -> list[Discrepancy]:
    """Run a campaign; its failures with simplified values, and its deaths as they came."""
    failures: list[Discrepancy] = []
    try:
        campaign()
    except _Enough:
        failures = list(watched.latest.values())
    except (Discrepancy, ExceptionGroup) as failure:
        failures = list(discrepancies(failure))
        if not failures:
            raise
    # A layer that is not deterministic may have failed twice, in two ways, for one cause.
    confirmed = {failure.cause: _confirmed(failure, watched) for failure in failures}
    smaller = [_in_a_small_case(failure, watched, among_small) for failure in confirmed.values()]
    minimised = (minimise(failure, watched.run) for failure in smaller)
    return [*minimised, *watched.deaths.values()]


def _confirmed(failure: Discrepancy, watched: _Watched) -> Discrepancy:
    """The failure, if its case fails again; otherwise one that says that the layer is at fault: a
    case draws nothing, so another end is the layer's own doing.
    """
    if watched.enough:
        return failure
    again = watched.run(failure.case)
    if isinstance(again, Discrepancy) and again.cause == failure.cause:
        return failure
    sentence = f"{failure.finding.sentence}; not so when the same case ran again"
    finding = replace(failure.finding, kind="not deterministic", sentence=sentence)
    return Discrepancy.of(failure.property_name, finding, failure.case)


def _in_a_small_case(
    failure: Discrepancy,
    watched: _Watched,
    among_small: Callable[[Callable[[Case], None]], Campaign],
) -> Discrepancy:
    """The failure in a small case, if one is met that shows it. Shrinking ends in a large one where
    two numbers would have to change at once, a kernel and the seed of its weights, say.
    """
    if watched.enough or _size(failure.case) <= SMALL:
        return failure

    def experiment(case: Case) -> None:
        outcome = watched.run(case)
        if isinstance(outcome, Discrepancy) and outcome.cause == failure.cause:
            raise outcome

    try:
        among_small(experiment)()
    except (Discrepancy, ExceptionGroup) as found:
        return next(discrepancies(found), failure)
    except Unsatisfiable:  # no small case can be drawn
        return failure
    return failure


def _size(case: Case) -> int:
    """Elements of the largest tensor that the case gives."""
    specs = [*case.tensors, *(spec for call in case.calls for spec in call.tensors)]
    return max((math.prod(spec.shape) for spec in specs if spec.shape is not None), default=0)


class _Enough(BaseException):
    """Ends a campaign. No Exception: Hypothesis would take it for a failure and shrink it."""


class _Watched:
    """Runs cases until a time, keeps the latest failure of each cause and the first death of each
    reason.
    """

    def __init__(self, run: Run, until: float) -> None:
        self._run = run
        self._until = until
        self._count = 0
        self.latest: dict[tuple[str, str, str], Discrepancy] = {}
        self.deaths: dict[str, Discrepancy] = {}

    @property
    def enough(self) -> str:
        """Why nothing more is to be run; empty as long as something is."""
        if self._count >= MOST_DEATHS:
            return f"the layer had ended its process {MOST_DEATHS} times"
        return "out of time" if time.perf_counter() > self._until else ""

    def run(self, case: Case) -> Outcome:
        """The outcome of a case; after too many deaths, or out of time, none is run any more."""
        if self.enough:
            return NotExercised(self.enough)
        outcome = self._run(case)
        if isinstance(outcome, Discrepancy):
            self.latest[outcome.cause] = outcome
        elif isinstance(outcome, Died):
            self._count += 1
            self.deaths.setdefault(outcome.reason, outcome.discrepancy(case))
        return outcome


def _each_drawn_anew(cases: SearchStrategy[Case]) -> SearchStrategy[Case]:
    """The same cases, none of them a copy of another in which one draw replaces a second.

    Hypothesis follows every example with up to five such copies, since equal values often matter.
    Here they make axes equal, the very symmetry that hides a fault. It leaves the inside of a
    collection of unique elements alone, even if there is only one.
    """
    return st.lists(cases, min_size=1, max_size=1, unique_by=id).map(lambda only: only[0])
