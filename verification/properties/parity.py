"""Parity: forward and every gradient agree with the truth, within what rounding may do."""

from verification.properties.registry import Family, property_of
from verification.references.row import Trait
from verification.strategies.cases import ordinary
from verification.subjects.entry import TRUTH
from verification.trials.trial import Trial


@property_of(Family.PARITY, needs={TRUTH}, cases=ordinary())
def check_forward_matches_reference(trial: Trial) -> None:
    """Every output agrees with the truth, within rounding."""
    for name, got in trial.forward().items():
        trial.require_close(name, got, trial.true_outputs[name])


@property_of(Family.PARITY, needs={TRUTH, Trait.DIFFERENTIABLE}, cases=ordinary())
def check_gradients_match_reference(trial: Trial) -> None:
    """The input gradient and every parameter gradient agree with the truth, within rounding."""
    got = trial.gradients()
    for name, truth in trial.truth.gradients.items():
        trial.require(name in got, "missing", f"{name} gradient", f"{name} has no gradient")
        trial.require_close(f"{name} gradient", got[name], truth)
