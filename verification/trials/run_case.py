"""run_case: the one executor. A campaign, a child process and a replay all call this function and
no other.
"""

from collections.abc import Callable

from verification import catalogue
from verification.cases import Case
from verification.properties import PROPERTIES
from verification.subjects.entry import Entry
from verification.trials.discrepancy import Discrepancy
from verification.trials.materialise import Placed
from verification.trials.outcome import NotExercised, Outcome, Passed, Unjudged, Weak
from verification.trials.trial import Trial
from verification.trials.weak import leniently

Run = Callable[[Case], Outcome]
"""How a case is run: `run_case`, or something that calls it elsewhere or keeps a journal."""


def run_case(case: Case) -> Outcome:
    """Make the case real, judge it by its property, and say how it ended.

    A foreign layer that misses a bound is judged again by the limit of weak accuracy.

    Raises:
        KeyError: the catalogue has no such subject, or there is no such property.
    """
    entry = catalogue.find(case.subject.name)
    strictly = _judged(case, entry)
    if not isinstance(strictly, Discrepancy) or not _may_be_weak(entry, strictly):
        return strictly
    again = _judged(case, leniently(entry))
    if isinstance(again, Passed):
        return Weak(str(strictly), again.counts)
    # Wrong by any standard: then the strict bound says it more plainly.
    alike = isinstance(again, Discrepancy) and again.cause == strictly.cause
    return strictly if alike else again


def _may_be_weak(entry: Entry, outcome: Discrepancy) -> bool:
    """Whether a foreign layer missed a bound; one without a truth has estimated bounds already."""
    return entry.foreign and not entry.row.described and outcome.finding.bound is not None


def _judged(case: Case, entry: Entry) -> Outcome:
    trial = Trial(case, entry)
    try:
        PROPERTIES[case.property].check(trial)
    except Unjudged as nothing:
        return NotExercised(str(nothing))
    except Discrepancy as discrepancy:
        discrepancy.shapes = _shapes_supplied(trial)
        return discrepancy
    return Passed(tuple(trial.counts.items()))


def _shapes_supplied(trial: Trial) -> dict[str, tuple[int, ...]]:
    """The shapes of the cotangents, none where no output has been computed for them yet."""
    made: dict[str, Placed] = vars(trial).get("placed_cotangents", {})
    return {name: tuple(placed.tensor.shape) for name, placed in made.items()}
