"""A gate with a baseline fails on new failures only, and says which known ones are gone."""

import json
from pathlib import Path

import pytest

from verification.__main__ import main
from verification.report.baseline import Baseline, Known
from verification.report.summary import Cell, Failure, Result, Summary
from verification.report.verdict import Report


def cell(name: str, *causes: str, result: Result = Result.FAILED) -> Cell:
    failures = tuple(Failure("wrong", cause=cause) for cause in causes)
    return Cell("ReLU", name, "parity", "correctness", "cpu", "float32", result, "", failures)


def baseline(folder: Path, *cells: Cell, layer: str = "x.py:X") -> Path:
    path = folder / "known.json"
    path.write_text(json.dumps(Report(layer, "ReLU", False, Summary(cells)).to_dict()))
    return path


def test_new_and_known_and_gone(tmp_path: Path) -> None:
    known = Baseline.read(
        baseline(tmp_path, cell("p", "output value"), cell("q", "died"), cell("r", "died")),
        "x.py:X",
    )
    assert Known("q", "died") in known.known
    again = cell("p", "output value")
    another_cause = cell("p", "output value", "output shape")
    another_property = cell("s", "output value")
    right = cell("q", result=Result.PASSED)
    assert known.new([again]) == []
    assert known.new([again, another_cause, another_property]) == [another_cause, another_property]
    assert list(known.lines(Summary((again, right)))) == [
        "known: p, output value",
        "gone: q, died; take it out of the baseline",
        "known, not exercised: r, died",
    ]


def test_what_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not there: `check --json"):
        Baseline.read(tmp_path / "none", "x.py:X")
    with pytest.raises(ValueError, match="is of y:Y, not of x:X"):
        Baseline.read(baseline(tmp_path, layer="y:Y"), "x:X")
    (tmp_path / "bad").write_text("[]")
    with pytest.raises(ValueError, match="no report of a check"):
        Baseline.read(tmp_path / "bad", "x:X")


LAYER = """
class Mine:
    def forward(self, x):
        self.x = x
        return x.clamp(min=0)

    def backward(self, grad_output):
        return grad_output
"""


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(LAYER)
    asked = ["check", "mine.py:Mine", "--like=ReLU", "--dtype=float32", "--examples=20"]
    asked.append("--property=gradients_match_reference")
    assert main([*asked, "--json=known.json"]) == 1
    assert main([*asked, "--baseline=known.json"]) == 0
    assert "known: gradients match reference, input gradient value" in capsys.readouterr().out
    assert main([*asked, "--property=forward_matches_reference", "--baseline=none.json"]) == 2
    assert "baseline none.json is not there" in capsys.readouterr().err
