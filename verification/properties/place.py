"""Type and place: results stay in the dtype and on the device of the tensors given.

That two devices agree follows from parity, which holds each of them to the same truth.
"""

from verification.properties.registry import Decides, Family, property_of
from verification.strategies.cases import every_dtype
from verification.subjects.entry import KEEPS_TO_VALUES
from verification.trials.trial import Trial


@property_of(Family.PLACE, cases=every_dtype(), decides=Decides.CONTRACT)
def check_dtype_and_device_are_kept(trial: Trial) -> None:
    """Outputs and gradients have the inputs' dtype and device, and its accuracy, in 16 bits too."""
    results, truths = trial.results(), trial.true_results
    if KEEPS_TO_VALUES in trial.entry.have:
        trial.require_results(results, truths)
        return
    for name, truth in truths.items():  # what is drawn follows the dtype
        trial.require_like(name, results[name], tuple(truth.value.shape))
