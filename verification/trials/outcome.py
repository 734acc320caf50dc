"""How a Case ended: Passed, NotExercised with its reason, or a Discrepancy."""

from __future__ import annotations

from dataclasses import dataclass

from verification.trials.discrepancy import Discrepancy


@dataclass(frozen=True)
class Passed:
    """Nothing wrong. `counts` are what the property counted on the way, by name: entries compared,
    entries that were certified exact and so needed no tolerance, entries undecided.
    """

    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class NotExercised:
    """The property found nothing to judge in this case; never counted as passed."""

    reason: str


Outcome = Passed | NotExercised | Discrepancy
