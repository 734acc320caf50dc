"""How a Case ended: Passed, NotExercised with its reason, or a Discrepancy."""

from __future__ import annotations

from dataclasses import dataclass

from verification.trials.discrepancy import Discrepancy


@dataclass(frozen=True)
class Passed:
    """Nothing wrong. `exact`: every tensor that was compared was certified exact, so no tolerance
    was used at all.

    `counts` are what the property counted on the way (undecided entries, certified tensors), by
    name.
    """

    exact: bool = False
    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class NotExercised:
    """The property found nothing to judge in this case; never counted as passed."""

    reason: str


Outcome = Passed | NotExercised | Discrepancy
