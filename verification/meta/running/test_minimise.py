"""Minimising: a failing case comes out small, still fails for the same cause, and took few runs."""

import pytest

from verification import catalogue
from verification.cases import Case, LayerCall, Role, TensorSpec, Values
from verification.meta.faults import FAULTS
from verification.meta.harness import find_failures
from verification.running.minimise import BUDGET, SIMPLE, minimise
from verification.trials.discrepancy import Discrepancy, Finding
from verification.trials.run_case import run_case

DENSE = (2, 4, 6, 8)


def dense_case(entry, layout="contiguous"):
    return Case(
        entry.spec,
        LayerCall("ReLU"),
        (
            TensorSpec("input", Role.INPUT, DENSE, Values("dense", 1), layout),
            TensorSpec("output", Role.COTANGENT, None, Values("dense", 1), layout),
        ),
        "gradients_match_reference",
    )


def convolution(kernel_size):
    channels = {"in_channels": 1, "out_channels": 1, "groups": 1, "bias": False}
    window = {"kernel_size": kernel_size, "stride": 1, "padding": 0, "dilation": 1}
    return LayerCall.of("Conv2d", **channels, **window)


def numbers(case):
    return [number for spec in case.tensors for number in spec.values.stored]


@pytest.mark.parametrize("layout", ["contiguous", "strided", "expanded"])
def test_hundreds_of_dense_values_become_one_number(layout):
    entry, runs = FAULTS["ReLU-MasksByTheCotangent"].entry, []

    def counting(case):
        runs.append(case)
        return run_case(case)

    with catalogue.added(entry):
        found = minimise(run_case(dense_case(entry, layout)), counting)
    assert [number for number in numbers(found.case) if number] in ([1.0], [-1.0])
    assert {spec.layout for spec in found.case.tensors} == {"contiguous"}
    assert len(runs) < 60


@pytest.mark.parametrize(
    ("fault", "property_name"),
    [
        ("Conv2d-DoesNotFlipTheKernel", "results_are_exact_on_integers"),
        ("NearestUpsampling-RoundsTheScale", "gradients_match_reference"),
        ("Upsampling-AveragesTheCopies", "gradients_match_reference"),
        ("Conv2d-DropsTheLastRowOfADepthwiseKernel", "gradients_match_finite_differences"),
    ],
)
def test_a_hunted_case_is_tiny(fault, property_name):
    found = find_failures(FAULTS[fault].entry, property_name)
    assert found
    for failure in found:  # one for each cause
        left = [number for number in numbers(failure.case) if number]
        assert len(left) <= 2
        assert set(left) <= set(SIMPLE)


def test_what_comes_out_fails_for_the_same_cause():
    entry = FAULTS["ReLU-MasksByTheCotangent"].entry
    with catalogue.added(entry):
        first = run_case(dense_case(entry))
        found = minimise(first)
        again = run_case(found.case)
    assert isinstance(again, Discrepancy)
    assert again.cause == found.cause == first.cause
    assert str(again) == str(found)


def test_repeated_elements_are_stored_as_they_are():
    entry = FAULTS["Conv2d-WritesOneBeyondTheCotangent"].entry
    layer = convolution(kernel_size=1)
    tensors = (
        TensorSpec("input", Role.INPUT, (2, 1, 1, 1), Values("dense", 1), "broadcast"),
        TensorSpec("weight", Role.PARAMETER, (1, 1, 1, 1), Values("dense", 1)),
        TensorSpec("output", Role.COTANGENT, None, Values("dense", 1)),
    )
    case = Case(entry.spec, layer, tensors, "tensors_are_left_alone")
    with catalogue.added(entry):
        found = minimise(run_case(case), budget=1)
    first, second = found.case.tensors[0].values.stored
    assert first == second


def test_the_budget_is_kept():
    entry, runs = FAULTS["ReLU-MasksByTheCotangent"].entry, []

    def counting(case):
        runs.append(case)
        return run_case(case)

    with catalogue.added(entry):
        minimise(run_case(dense_case(entry)), counting, budget=7)
    assert len(runs) == 7 < BUDGET


def test_a_case_whose_tensors_cannot_be_made_is_given_back():
    entry = catalogue.find("scratch_layers.Conv2d")
    layer = convolution(kernel_size=3)
    tensors = (
        TensorSpec("input", Role.INPUT, (1, 1, 1, 1)),
        TensorSpec("weight", Role.PARAMETER, (1, 1, 3, 3)),
        TensorSpec("output", Role.COTANGENT),
    )
    case = Case(entry.spec, layer, tensors, "declared_uses_are_refused")
    found = Discrepancy.of(case.property, Finding("not raised", "", "is not refused"), case)
    assert minimise(found) is found
