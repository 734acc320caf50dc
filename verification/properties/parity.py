"""Parity: forward and every gradient agree with the truth, within what rounding may do.

Numbers that need rounding, in contiguous memory: integers are the exactness family's, other
layouts the layout family's.
"""

from verification.properties.registry import Family, property_of
from verification.references.row import Trait
from verification.strategies.cases import ordinary
from verification.subjects.entry import TRUTH
from verification.trials.results import gradients_of
from verification.trials.trial import Trial

ROUNDED = ordinary(integers=False, layouts=("contiguous",), empty_batch=False)


@property_of(Family.PARITY, needs={TRUTH}, cases=ROUNDED)
def check_forward_matches_reference(trial: Trial) -> None:
    """Every output agrees with the truth, within rounding."""
    trial.require_results(trial.forward(), trial.true_outputs)


@property_of(Family.PARITY, needs={TRUTH, Trait.DIFFERENTIABLE}, cases=ROUNDED)
def check_gradients_match_reference(trial: Trial) -> None:
    """The input gradient and every parameter gradient agree with the truth, within rounding."""
    trial.require_results(trial.results(), gradients_of(trial.truth.gradients))
