"""A shrunk case is small: for twenty faults of every kind, few elements and few lines."""

import math

import pytest

from verification.meta.faults import FAULTS
from verification.meta.harness import find_failures
from verification.report.failure import failure_text

MOST_ELEMENTS = 16
MOST_LINES = 25

CHOSEN = (
    "Conv2d-BiasGradientOfOneSample",
    "Conv2d-CallsTheKernel",
    "Conv2d-DoesNotFlipTheKernel",
    "Conv2d-ForgetsTheGradients",
    "Conv2d-ReadsTheWeightInOrder",
    "Conv2d-SwapsTheDilationsOfSame",
    "Conv2d-WritesToOneBuffer",
    "ConvTranspose2d-ForgetsTheBiasOfTheExtraRows",
    "ConvTranspose2d-ZeroGradZeroesTheWeight",
    "MSELoss-KeepsTheInputsGraph",
    "MSELoss-MeanBecameSum",
    "NearestUpsampling-MultipliesByZeros",
    "NearestUpsampling-RepeatsASingleRow",
    "NearestUpsampling-SendsTheGradientToTheSamePlace",
    "SGD-DecaysIntoTheGradient",
    "Sequential-SkipsAFirstActivation",
    "Sigmoid-DifferentiatesACopy",
    "Sigmoid-OverflowsFarOut",
    "Upsampling-SqueezesABatchOfOne",
    "Upsampling-ZeroGradForgetsTheBias",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_shrunk_case_is_small(name: str) -> None:
    fault = FAULTS[name]
    found = find_failures(fault.entry, fault.caught_by[0])
    assert found
    for failure in found:
        specs = [*failure.case.tensors, *(s for c in failure.case.calls for s in c.tensors)]
        for spec in specs:
            stored = spec.values.stored
            size = math.prod(spec.shape or ()) if stored is None else len(stored)
            assert size <= MOST_ELEMENTS, spec
        assert len(failure_text(failure, "pytest --replay-case x").splitlines()) <= MOST_LINES
