"""The overhead of a run is told, and one that is too large ends with 1."""

import time

from benchmarks.__main__ import main
from verification.running.campaign import Tally

ASKED = ["overhead", "--every=300", "--examples=5", "--rounds=1"]


def test_a_slow_tally_is_told(monkeypatch, capsys):
    quick = Tally.add

    def slow(tally, case, outcome):
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass
        quick(tally, case, outcome)

    monkeypatch.setattr(Tally, "add", slow)
    assert main(ASKED) == 1
    assert "campaigns of 5 examples: median" in capsys.readouterr().out
