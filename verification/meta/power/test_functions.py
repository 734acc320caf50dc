"""The bank of functions: each is judged as it should be, from its description alone."""

import pytest

from verification.meta.functions import BANK
from verification.meta.harness import find_failures

QUICK = 5
"""Examples of the right functions in the quick run."""

WRONG = [judged for judged in BANK if not judged.right]
RIGHT = [judged for judged in BANK if judged.right]
SOME_RIGHT = RIGHT[::7]


def named(judged):
    return judged.name


def test_the_bank_is_large_and_its_descriptions_are_short():
    assert len(BANK) >= 40
    for judged in BANK:
        assert sum(map(len, map(str, judged.description.values()))) < 5 * 100


@pytest.mark.parametrize("judged", WRONG, ids=named)
def test_a_wrong_function_is_caught(judged):
    assert next(judged.failures(100, judged.caught_by), None) is not None


@pytest.mark.parametrize("judged", [judged for judged in WRONG if judged.says], ids=named)
def test_the_shrunk_failure_says_what_to_do(judged):
    found = find_failures(judged.entry, judged.caught_by[0], dtype="float64", examples=40)
    assert any(judged.says in failure.finding.sentence for failure in found)


@pytest.mark.parametrize("judged", SOME_RIGHT, ids=named)
def test_a_right_function_raises_no_alarm(judged):
    assert [str(failure) for failure in judged.failures(QUICK)] == []


@pytest.mark.slow
@pytest.mark.parametrize("judged", RIGHT, ids=named)
def test_a_right_function_raises_no_alarm_at_length(judged):
    assert [str(failure) for failure in judged.failures(60)] == []
