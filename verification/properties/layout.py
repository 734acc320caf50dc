"""Layout: the same numbers in other memory give the same results."""

import torch

from verification.properties.registry import Family, property_of
from verification.strategies.cases import ordinary
from verification.subjects.entry import KEEPS_TO_VALUES
from verification.trials.results import Part
from verification.trials.trial import Trial


@property_of(Family.LAYOUT, needs={KEEPS_TO_VALUES}, cases=ordinary(empty_batch=False))
def check_layouts_change_nothing(trial: Trial) -> None:
    """Offset, strided, transposed, channels_last or expanded tensors act like contiguous copies."""
    # A copy, since contiguous() leaves the strides of axes of size 1 as they are.
    contiguous = (
        {n: t.clone(memory_format=torch.contiguous_format) for n, t in tensors.items()}
        for tensors in (trial.inputs, trial.parameters, trial.cotangents)
    )
    expected = trial.results(*contiguous).copies()
    laid_out = trial.results()
    for name, truth in trial.true_results.items():
        part = Part(1, expected[name], truth)
        trial.require_sum(name, laid_out[name], truth, part, why="contiguous copies give that")
