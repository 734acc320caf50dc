"""Sequences of calls: valid in every draw, and wide enough to leave an earlier call behind."""

from collections import Counter

import hypothesis

from verification import catalogue
from verification.cases import Role
from verification.properties import PROPERTIES
from verification.running.campaign import hunt
from verification.strategies.calls import BACKWARD, FORWARD, SET_PARAMETERS, ZERO_GRAD
from verification.trials.outcome import Passed


def drawn(kind, property_name="gradients_accumulate"):
    """The hundred cases that a campaign draws for a shipped kind."""
    cases = []

    def keep(case):
        cases.append(case)
        return Passed()

    settings = hypothesis.settings(max_examples=100, derandomize=True, database=None)
    entry = catalogue.find(f"scratch_layers.{kind}")
    hunt(entry, PROPERTIES[property_name], settings=settings, run=keep)
    return cases


def test_a_sequence_begins_with_the_cases_own_call_and_ends_with_a_backward():
    for case in drawn("Conv2d"):
        first, second, *_, last = case.calls
        assert (first.kind, first.tensors) == (FORWARD, ())
        assert second.kind == last.kind == BACKWARD


def test_every_kind_of_call_is_drawn_between():
    counts = Counter(call.kind for case in drawn("Conv2d") for call in case.calls[2:-1])
    assert min(counts[k] for k in (FORWARD, BACKWARD, ZERO_GRAD, SET_PARAMETERS)) >= 10


def test_other_forwards_change_numbers_batch_and_size_but_not_channels():
    changes = Counter()
    for case in drawn("Conv2d"):
        (own,) = case.of_role(Role.INPUT)
        for call in case.calls:
            for spec in call.tensors if call.kind == FORWARD else ():
                changes["numbers"] += spec.values.seed != own.values.seed
                changes["batch"] += spec.shape[0] != own.shape[0]
                changes["size"] += spec.shape[2:] != own.shape[2:]
                changes["the same shape"] += spec.shape == own.shape
                assert spec.shape[1] == own.shape[1]
    assert min(changes[name] for name in ("numbers", "batch", "size", "the same shape")) >= 5


def test_both_inputs_of_a_loss_change_alike():
    for case in drawn("MSELoss", "latest_forward_counts"):
        for call in case.calls:
            if call.kind == FORWARD and call.tensors:
                one, other = call.tensors
                assert one.shape == other.shape
