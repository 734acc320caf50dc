"""The contests refuse to time a wrong layer, and the growth's figures are right."""

import pytest

from benchmarks import contests, growth
from benchmarks.timing import summary, take_turns


def test_a_wrong_layer_is_not_timed(monkeypatch):
    right = contests.ours.Conv2d.backward
    monkeypatch.setattr(contests.ours.Conv2d, "backward", lambda self, dy: 1.01 * right(self, dy))
    with pytest.raises(RuntimeError, match="disagree"):
        contests.convolution(2, 3, size=5, padding=1)


def test_every_contest_has_a_name_of_its_own():
    names = [(contest.group, contest.name) for contest in contests.contests()]
    assert len(names) == len(set(names))


def test_contestants_take_turns():
    calls = []
    contestants = {name: lambda name=name: calls.append(name) for name in "abc"}
    assert set(take_turns(contestants, 0, (30, 30))) == set("abc")
    turns = ["".join(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert len(turns) == 32
    assert {"".join(sorted(turn)) for turn in turns} == {"abc"}
    # Each follows each other one in some turn.
    assert len(set(turns)) == 6


def test_growth_finds_the_exponent_and_the_cliff():
    points = [{"size": n, "work": n * n, "ours": 2.0 * n * n} for n in (1, 2, 4, 8)]
    assert growth.exponent(points) == pytest.approx(2)
    assert growth.steepest(points) == pytest.approx(2)
    points[2]["ours"] *= 9
    assert growth.steepest(points) == pytest.approx(6)


def test_summary_of_one_process_has_no_spread():
    assert summary([3.0]) == {"median": 3.0, "low": 3.0, "high": 3.0, "all": [3.0]}
