"""Special values: what NaN, infinities, zeros of both signs and subnormals in an input must become.

The truth decides, and so does the row, which declares the derivative at a kink. An infinity times a
zero is NaN, and whether padding multiplies is a matter of the algorithm, so everything else is
finite and other than zero.
"""

from verification.properties.registry import Decides, Family, property_of
from verification.references.row import Clause, Trait
from verification.strategies.cases import means_of_nothing, special_inputs
from verification.subjects.entry import TRUTH
from verification.trials.results import gradients_of
from verification.trials.trial import Trial


@property_of(
    Family.SPECIAL,
    needs={TRUTH, Clause.NON_FINITE},
    cases=special_inputs(),
    decides=Decides.CONTRACT,
)
def check_special_values_reach_outputs(trial: Trial) -> None:
    """NaN and infinities in an input reach the true outputs and no others; zeros and subnormals
    count.
    """
    trial.require_results(trial.forward(), trial.true_outputs)


@property_of(
    Family.SPECIAL,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.NON_FINITE},
    cases=special_inputs(),
    decides=Decides.CONTRACT,
)
def check_special_values_reach_gradients(trial: Trial) -> None:
    """NaN and infinities in an input reach the true gradients and no others, and kinks have the
    derivative that the row declares.
    """
    trial.require_results(gradients_of(trial.gradients()), gradients_of(trial.truth.gradients))


@property_of(
    Family.SPECIAL,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.MEANS_OF_NOTHING},
    cases=means_of_nothing(),
    decides=Decides.CONTRACT,
)
def check_means_of_nothing_are_torchs(trial: Trial) -> None:
    """Where nothing is left to take a mean of, since all is ignored or masked, outputs and
    gradients are torch's.
    """
    trial.require_results(trial.forward(), trial.true_outputs)
    trial.require_results(gradients_of(trial.gradients()), gradients_of(trial.truth.gradients))
