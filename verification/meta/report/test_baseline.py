"""A gate with a baseline fails on new failures only, and says which known ones are gone."""

import json
from pathlib import Path

import pytest

from verification.__main__ import main
from verification.meta.processes import SUITE, pytest_in
from verification.report.baseline import Baseline, baseline_lines
from verification.report.gate import Gate
from verification.report.summary import Cell, Failure, Result, Summary, read


def cell(name: str, *causes: str, layer: str = "ReLU", result: Result = Result.FAILED) -> Cell:
    failures = tuple(Failure("wrong", cause=cause) for cause in causes)
    return Cell(layer, name, "parity", "correctness", "cpu", "float32", result, "", failures)


def baseline(folder: Path, *cells: Cell) -> Baseline:
    return Baseline.read(Summary(cells).write(folder))


def test_new_and_known_and_gone(tmp_path: Path) -> None:
    known = baseline(
        tmp_path, cell("p", "output value"), cell("q", "died"), cell("r", "died"), cell("s", "")
    )
    found = Summary(
        (
            cell("p", "output value"),
            cell("p", "output value", "output shape"),
            cell("p", "output value", layer="Sigmoid"),
            cell("q", result=Result.PASSED),
            cell("s", ""),
            cell("t", "output value"),
        )
    )
    held = known.applied(found)
    (again,) = held.of(Result.KNOWN)
    assert again.failures == found.cells[0].failures
    # Another cause, another subject, a fault of the suite itself, another property.
    assert held.of(Result.FAILED) == [*found.cells[1:3], *found.cells[4:]]
    assert list(baseline_lines(held)) == [
        "known: ReLU, p, output value",
        "gone: ReLU, q, died; take it out of the baseline",
        "known, not exercised: ReLU, r, died",
    ]


def test_a_run_that_was_held_to_a_baseline_is_a_baseline(tmp_path: Path) -> None:
    known = baseline(tmp_path / "first", cell("p", "output value"))
    held = known.applied(Summary((cell("p", "output value"),)))
    assert Baseline.read(held.write(tmp_path / "second")) == known
    assert read(tmp_path / "second") == held


@pytest.mark.parametrize(
    ("cells", "status", "verdict"),
    [
        ([cell("p", "died")], 0, "verdict: NOTHING NEW, 0 campaigns passed and 1 failed as"),
        ([cell("p", "died"), cell("q", "died")], 1, "verdict: WRONG, 1 campaigns failed"),
        ([cell("p", "died"), cell("q", result=Result.NO_VERDICT)], 2, "verdict: NONE"),
        ([cell("p", result=Result.PASSED)], 0, "verdict: RIGHT, 1 campaigns passed"),
    ],
)
def test_the_gate_holds_to_it(cells: list[Cell], status: int, verdict: str, tmp_path: Path) -> None:
    known = baseline(tmp_path / "known", cell("p", "died"))
    gate = Gate(known.applied(Summary(tuple(cells))), None)
    assert gate.status == status
    assert gate.verdict().startswith(verdict)
    gate.write(tmp_path)
    for page in ("report.md", "index.html"):
        assert "ReLU, p, died" in (tmp_path / page).read_text()


def test_what_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not there: it is a run's summary\.json"):
        Baseline.read(tmp_path / "none")
    for number, text in enumerate(["[]", '{"schema": 1}', '{"schema": 9}', "{", "\0"]):
        path = tmp_path / f"bad-{number}"
        path.write_text(text)
        with pytest.raises(ValueError, match="no report of a run"):
            Baseline.read(path)


LAYER = """
class Mine:
    def forward(self, x):
        self.x = x
        return x.clamp(min=0)

    def backward(self, grad_output):
        return grad_output
"""


def test_check_holds_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(LAYER)
    asked = ["check", "mine.py:Mine", "--like=ReLU", "--dtype=float32", "--examples=20"]
    asked.append("--property=gradients_match_reference")
    assert main([*asked, "--json=known.json"]) == 1
    assert main([*asked, "--baseline=known.json"]) == 0
    shown = capsys.readouterr().out
    assert "known: mine.py:Mine, gradients match reference, input gradient value" in shown
    assert main([*asked, "--property=forward_matches_reference", "--baseline=none.json"]) == 2
    assert "baseline none.json is not there" in capsys.readouterr().err


BREAK = """
import os
import scratch_layers

right = scratch_layers.ReLU.backward

def passes_all(self, grad_output):
    right(self, grad_output)
    return grad_output.clone()

if "BROKEN" in os.environ:
    scratch_layers.ReLU.backward = passes_all
    scratch_layers.Sigmoid.forward = lambda self, x: os._exit(1)
"""


def run_suite(folder: Path, *arguments: str) -> tuple[int, str]:
    """The suite on two layers, which are broken in every process where the environment says so."""
    (folder / "break_layers.py").write_text(BREAK)
    return pytest_in(
        folder,
        SUITE,
        "-pbreak_layers",
        "--verify-layer=ReLU",
        "--verify-layer=Sigmoid",
        "--verify-property=gradients_match_reference",
        "--verify-device=cpu",
        "--verify-dtype=float32",
        "--verify-examples=20",
        *arguments,
    )


def test_the_suite_holds_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "yes")
    status, output = run_suite(tmp_path, "-n=1")
    assert (status, "2 failed" in output) == (1, True), output
    known = (tmp_path / "reports/verify/summary.json").rename(tmp_path / "known.json")
    relu, sigmoid = (
        f"{layer}, gradients match reference, {cause}"
        for layer, cause in {"ReLU": "input gradient value", "Sigmoid": "died"}.items()
    )

    status, output = run_suite(tmp_path, "-n=1", f"--verify-baseline={known}")
    assert (status, "2 xfailed" in output) == (0, True), output
    assert f"known: {relu}\nknown: {sigmoid}\n" in output
    assert "--replay-case" not in output
    assert read(tmp_path / "reports/verify").results()[Result.KNOWN] == 2

    data = json.loads(known.read_text())
    data["cells"] = [cell for cell in data["cells"] if cell["layer"] == "ReLU"]
    known.write_text(json.dumps(data))
    status, output = run_suite(tmp_path, "-n=1", f"--verify-baseline={known}")
    assert (status, "1 failed, 1 skipped, 1 xfailed" in output) == (1, True), output

    monkeypatch.delenv("BROKEN")
    status, output = run_suite(tmp_path, f"--verify-baseline={known}")
    assert (status, "2 passed" in output) == (0, True), output
    assert f"gone: {relu}; take it out of the baseline" in output


def test_a_bad_baseline_ends_the_run(tmp_path: Path) -> None:
    status, output = pytest_in(tmp_path, SUITE, "--verify-baseline=none.json")
    assert (status, "baseline none.json is not there" in output) == (4, True)
