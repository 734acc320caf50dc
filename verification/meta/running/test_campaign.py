"""A campaign: what it draws, and how it tells failures."""

import math

import hypothesis
import torch
from hypothesis import strategies as st

from scratch_layers import ReLU
from verification import catalogue
from verification.meta.harness import broken, find_failures
from verification.properties import PROPERTIES
from verification.properties.registry import Decides, Family, Property
from verification.running.campaign import hunt
from verification.strategies.cases import ordinary
from verification.trials.outcome import Passed

SETTINGS = hypothesis.settings(max_examples=100, derandomize=True, database=None)


def drawn(options):
    """The options of a campaign's cases."""
    seen = []

    def record(case):
        seen.append(tuple(value for _, value in case.options))
        return Passed()

    prop = Property(
        "drawn_twice",
        Family.PARITY,
        "",
        lambda trial: None,
        frozenset(),
        ordinary(options=lambda geometry: st.fixed_dictionaries(options)),
        Decides.CORRECTNESS,
    )
    hunt(catalogue.find("scratch_layers.ReLU"), prop, settings=SETTINGS, run=record)
    return seen


def test_no_draw_is_copied_over_another():
    # Left to itself, Hypothesis makes about half of the pairs equal.
    pairs = drawn({"first": st.integers(0, 2**40), "second": st.integers(0, 2**40)})
    assert len(pairs) == 100
    assert sum(first == second for first, second in pairs) <= 5


def test_two_campaigns_draw_different_cases():
    seen = {"float32": [], "float64": []}
    for dtype, cases in seen.items():

        def record(case, cases=cases):
            cases.append((case.layer, [spec.shape for spec in case.tensors]))
            return Passed()

        entry, prop = catalogue.find("scratch_layers.Conv2d"), PROPERTIES["layouts_change_nothing"]
        hunt(entry, prop, dtype=dtype, settings=SETTINGS, run=record)
    shared = [case for case in seen["float32"] if case in seen["float64"]]
    assert len(shared) < 20


def test_a_layer_that_is_not_deterministic_is_told_so():
    class FailsNowAndThen(ReLU):
        calls = 0

        def forward(self, input):
            FailsNowAndThen.calls += 1
            return super().forward(input) + (FailsNowAndThen.calls % 7 == 3)

    (found,) = find_failures(broken("ReLU", FailsNowAndThen), "forward_matches_reference")
    assert found.finding.kind == "not deterministic"
    assert found.finding.sentence.endswith("; not so when the same case ran again")


def test_a_layer_that_always_fails_is_not():
    class AlwaysFails(ReLU):
        def forward(self, input):
            return super().forward(input) + 1

    found = find_failures(broken("ReLU", AlwaysFails), "forward_matches_reference")
    assert {failure.finding.kind for failure in found} == {"value"}


def test_a_fault_of_large_tensors_is_kept_though_no_small_case_shows_it():
    class LosesTheEnd(ReLU):
        def forward(self, x):
            y = super().forward(x)
            return (
                y if y.numel() <= 20 else y.flatten().index_fill(0, torch.tensor(20), 7).view_as(x)
            )

    (found,) = find_failures(broken("ReLU", LosesTheEnd), "forward_matches_reference")
    (spec,) = (spec for spec in found.case.tensors if spec.name == "input")
    assert 20 < math.prod(spec.shape) <= 24
