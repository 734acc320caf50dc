"""Exactness: where every product and sum is a representable integer, nothing may be off at all.

Σ|terms| <= 2^t certifies a result: every order of summation is then exact. What a case cannot
certify is held to its bound and counted as not exact.
"""

from verification.properties.registry import Family, property_of
from verification.strategies.cases import ordinary
from verification.subjects.entry import TRUTH
from verification.trials.trial import Trial


@property_of(
    Family.EXACTNESS,
    needs={TRUTH},
    cases=ordinary(reals=False, layouts=("contiguous",), empty_batch=False),
)
def check_results_are_exact_on_integers(trial: Trial) -> None:
    """On integers whose sums are representable, every output and gradient is the exact number."""
    trial.require_results(trial.results(), trial.true_results)
