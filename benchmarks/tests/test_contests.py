"""The contests refuse to time a wrong layer, and the growth's figures are right."""

import pytest
import torch

from benchmarks import contests, growth, shares
from benchmarks.timing import summary, take_turns


def test_a_wrong_layer_is_not_timed(monkeypatch):
    right = contests.ours.Conv2d.backward
    monkeypatch.setattr(contests.ours.Conv2d, "backward", lambda self, dy: 1.01 * right(self, dy))
    with pytest.raises(RuntimeError, match="disagree"):
        contests.convolution(2, 3, size=5, padding=1)


def test_every_contest_has_a_name_of_its_own():
    names = [(contest.group, contest.name) for contest in contests.contests()]
    assert len(names) == len(set(names))


def test_contestants_take_turns_of_four_calls():
    calls = []
    contestants = {name: lambda name=name: calls.append(name) for name in "abc"}
    assert set(take_turns(contestants, 0, (2, 30))) == set("abc")
    assert "".join(calls) == 2 * "aaaabbbbcccc"


def test_the_first_call_of_a_turn_does_not_count(monkeypatch):
    now, ticks = [0.0], iter([100.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr("benchmarks.timing.time.thread_time", lambda: now[0])
    monkeypatch.setattr("benchmarks.timing.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("benchmarks.timing.statistics.median", sum)

    def later():
        now[0] += next(ticks)

    assert take_turns({"a": later}, 0, (1, 1)) == {"a": 3000.0}


def test_growth_finds_the_exponent_and_the_cliff():
    points = [{"size": n, "work": n * n, "ours": 2.0 * n * n} for n in (1, 2, 4, 8)]
    assert growth.exponent(points) == pytest.approx(2)
    assert growth.steepest(points) == pytest.approx(2)
    points[2]["ours"] *= 9
    assert growth.steepest(points) == pytest.approx(6)


def test_summary_of_one_process_has_no_spread():
    assert summary([3.0]) == {"median": 3.0, "low": 3.0, "high": 3.0, "all": [3.0]}


def test_the_parts_of_a_layer_are_told_apart():
    left, right, picture = torch.ones(1, 2, 3), torch.ones(1, 3, 4), torch.ones(5)
    with shares.Clocked() as clocked:
        (torch.bmm(left, right).add_(1), picture.clone())
    assert clocked.found.keys() == {"products", "moves", "rest", "calls"}
    assert clocked.found["calls"] == 3
