"""What gradcheck promises, as questions with known answers: right functions of every sort, wrong
ones of every sort, what is no wrong number, and what cannot be judged.

The mutants of gradcheck are put before them: one is killed when an answer is another one. Together
they take some 15 seconds.
"""

from verification.meta.gradients import (
    adapters,
    complaints,
    drawn,
    explained,
    numerical,
    refusals,
    right,
    roundings,
    said,
    sweeps,
    today,
    wrong,
)
from verification.meta.gradients.promise import Promise

PROMISES: tuple[Promise, ...] = (
    *right.PROMISES,
    *wrong.PROMISES,
    *explained.PROMISES,
    *complaints.PROMISES,
    *numerical.PROMISES,
    *sweeps.PROMISES,
    *roundings.PROMISES,
    *today.PROMISES,
    *refusals.PROMISES,
    *adapters.PROMISES,
    *said.PROMISES,
    *drawn.PROMISES,
)

__all__ = ["PROMISES", "Promise"]
