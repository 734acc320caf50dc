"""How a Case ended: Passed, Weak, NotExercised with its reason, a Discrepancy or Died; as JSON too,
for the way out of a child process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verification.cases import Case
from verification.trials.discrepancy import Compared, Discrepancy, Finding


class Unjudged(Exception):
    """Raised where a case has nothing to judge; the message is the reason."""


@dataclass(frozen=True)
class Passed:
    """Nothing wrong. `counts` are what the property counted on the way, by name: entries compared,
    entries that were certified exact and so needed no tolerance, entries undecided.
    """

    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Weak:
    """Beyond the strict bound of a careful computation, but no further than weak accuracy allows:
    counted and shown, no failure. `sentence` says which entry was beyond its strict bound.
    """

    sentence: str
    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class NotExercised:
    """The property found nothing to judge in this case; never counted as passed."""

    reason: str


@dataclass(frozen=True)
class Died:
    """The layer ended its process, or had to be ended with it: "killed by SIGSEGV", say."""

    reason: str

    def discrepancy(self, case: Case) -> Discrepancy:
        """The same as a discrepancy of the case that was running."""
        sentence = f"the layer ended its process: {self.reason}; such a case is not shrunk"
        finding = Finding("died", "", sentence)
        return Discrepancy.of(case.property, finding, case)


WEAK = "examples of weak accuracy"
"""By this name the examples that ended Weak are counted."""

Outcome = Passed | Weak | NotExercised | Discrepancy | Died


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON-ready data, without the Case: whoever asked has that."""
    match outcome:
        case Passed(counts):
            return {"passed": dict(counts)}
        case Weak(sentence, counts):
            return {"weak": sentence, "counts": dict(counts)}
        case NotExercised(reason):
            return {"not exercised": reason}
        case Died(reason):
            return {"died": reason}
        case Discrepancy():
            compared = outcome.finding.compared
            return {
                "discrepancy": outcome.finding.to_dict(),
                "compared": None if compared is None else compared.to_dict(),
                "shapes": outcome.shapes,
            }


def outcome_from_json(data: Mapping[str, Any], case: Case) -> Outcome:
    """The outcome of a case that `outcome_to_json` wrote."""
    if "passed" in data:
        return Passed(tuple(data["passed"].items()))
    if "weak" in data:
        return Weak(data["weak"], tuple(data["counts"].items()))
    if "not exercised" in data:
        return NotExercised(data["not exercised"])
    if "died" in data:
        return Died(data["died"])
    facts, compared = dict(data["discrepancy"]), data["compared"]
    if "entry" in facts:
        facts["entry"] = tuple(facts["entry"])
    if compared is not None:
        facts["compared"] = Compared.from_dict(compared)
    found = Discrepancy.of(case.property, Finding(**facts), case)
    found.shapes = {name: tuple(shape) for name, shape in data["shapes"].items()}
    return found
