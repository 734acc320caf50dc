"""From a failure under xdist to its case file and back: the same verdict, every time.

One pytest run with two workers serves the whole module: it verifies a right layer, a wrong one and
one that ends its process.
"""

import dataclasses
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from verification.__main__ import main
from verification.cases.case_file import CaseFile, read
from verification.meta.processes import PLUGIN, pytest_in
from verification.running.journal import Journal, case_in_flight
from verification.running.replay import replay
from verification.running.supervisor import Supervisor
from verification.trials.discrepancy import Discrepancy
from verification.trials.outcome import Passed

LAYERS = """
import os

class Right:
    def forward(self, x):
        self.x = x
        return x.clamp(min=0)

    def backward(self, grad_output):
        return grad_output * (self.x > 0)

class Wrong(Right):
    def backward(self, grad_output):
        return grad_output * (self.x >= 0)

class Dies(Right):
    def forward(self, x):
        if x.dim() == 3:
            os._exit(1)
        return super().forward(x)
"""

TESTS = """
import pytest
from verification import catalogue
from verification.properties import PROPERTIES
from verification.running.selection import Target
from verification.cases import SubjectSpec
from verification.subjects.resolve import foreign

@pytest.mark.parametrize("name", ["Right", "Wrong", "Dies"])
def test_layer(name, campaign):
    entry, _ = foreign(SubjectSpec(f"layers.py:{name}", "ReLU"), careful=True)
    with catalogue.added(entry):
        campaign(Target(entry, PROPERTIES["gradients_match_reference"], "cpu", "float32"))
"""


WRONG_AT_ZERO = re.compile(r"input gradient wrong at \[[\d, ]+\]: got \S+, expected 0, bound 0")


class Run(NamedTuple):
    """A pytest run in a folder of its own."""

    folder: Path
    status: int
    output: str

    def case_of(self, layer: str) -> Path:
        """The one case file of a layer."""
        files = (self.folder / "reports/cases").glob("*.case.json")
        (path,) = [f for f in files if read(f).case.subject.name == f"layers.py:{layer}"]
        return path

    @classmethod
    def of(cls, folder: Path, *arguments: str) -> "Run":
        return cls(folder, *pytest_in(folder, *PLUGIN, *arguments, CI="true"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    (folder / "layers.py").write_text(LAYERS)
    (folder / "test_mine.py").write_text(TESTS)
    logged = ["--report-log=log.jsonl"] if find_spec("pytest_reportlog") else []
    return Run.of(folder, "-n", "2", "-q", "--junitxml=junit.xml", *logged, "test_mine.py")


@pytest.fixture
def in_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(run.folder)
    return run


def test_the_failure_is_told_and_filed(run: Run) -> None:
    assert run.status == 1
    assert "1 passed" in run.output
    assert "2 failed" in run.output
    path = run.case_of("Wrong").relative_to(run.folder)
    assert WRONG_AT_ZERO.search(run.output)
    assert f"pytest --replay-case {path} --verify-allow-layer layers.py:Wrong" in run.output
    assert "Traceback" not in run.output
    assert str(path) in (run.folder / "junit.xml").read_text()


def test_the_report_log_names_the_case(run: Run) -> None:
    pytest.importorskip("pytest_reportlog", reason="no pytest-reportlog here")
    lines = map(json.loads, (run.folder / "log.jsonl").read_text().splitlines())
    calls = [line for line in lines if line.get("outcome") == "failed"]
    told = {line["nodeid"].partition("[")[2]: dict(line["user_properties"]) for line in calls}
    for layer in ("Wrong", "Dies"):
        path = run.case_of(layer).relative_to(run.folder)
        assert told[f"{layer}]"]["case_file"] == str(path)
        assert f"--replay-case {path}" in told[f"{layer}]"]["replay"]


def test_the_case_is_shrunk_and_says_where_it_is_from(run: Run) -> None:
    file = read(run.case_of("Wrong"))
    (x,) = (spec for spec in file.case.tensors if spec.name == "input")
    assert x.values.stored is not None
    assert len(x.values.stored) <= 4
    assert 0.0 in x.values.stored
    assert file.discrepancy is not None
    assert file.discrepancy["tensor"] == "input gradient"
    assert "test_layer[Wrong]" in str(file.provenance["test"])


def test_the_case_of_a_dying_layer_is_kept(run: Run) -> None:
    file = read(run.case_of("Dies"))
    assert file.discrepancy is not None
    assert file.discrepancy["kind"] == "died"
    assert any(spec.shape is not None and len(spec.shape) == 3 for spec in file.case.tensors)
    assert "--verify-allow-layer layers.py:Dies" in run.output


def test_replayed_ten_times_the_verdict_is_the_same(in_folder: Run) -> None:
    file = read(in_folder.case_of("Wrong"))
    with Supervisor(file.case.subject) as child:
        found = [
            replay(file, ["layers.py:Wrong"]).outcome,
            *(child.run(file.case) for _ in range(9)),
        ]
    facts = [f.finding.to_dict() for f in found if isinstance(f, Discrepancy)]
    assert len(facts) == 10
    assert all(
        CaseFile(file.case, f).to_dict()["discrepancy"] == facts_as_written(file) for f in facts
    )


def facts_as_written(file: CaseFile) -> object:
    return file.to_dict()["discrepancy"]


def test_a_case_that_does_not_say_how_its_layer_is_driven(in_folder: Run) -> None:
    """As earlier versions wrote it: that is found out anew, and the verdict is the same."""
    file = read(in_folder.case_of("Wrong"))
    assert file.case.subject.found
    subject = dataclasses.replace(file.case.subject, found=())
    earlier = CaseFile(dataclasses.replace(file.case, subject=subject))
    outcome = replay(earlier, ["layers.py:Wrong"]).outcome
    assert isinstance(outcome, Discrepancy)
    assert (
        CaseFile(file.case, outcome.finding.to_dict()).to_dict()
        == dataclasses.replace(file, provenance={}).to_dict()
    )


def test_pytest_replays_files_and_folders(in_folder: Run) -> None:
    wrong = in_folder.case_of("Wrong")
    kept = in_folder.folder / "kept"
    kept.mkdir()
    as_right = json.loads(wrong.read_text())
    of_the_catalogue = {"name": "scratch_layers.ReLU", "like": None, "digest": None, "waivers": []}
    as_right["case"]["subject"] = of_the_catalogue
    (kept / "right.case.json").write_text(json.dumps(as_right))
    (kept / "cut.case.json").write_text(wrong.read_text()[:99])

    again = Run.of(
        in_folder.folder, "--replay-case", str(wrong), "--verify-allow-layer=layers.py:Wrong"
    )
    assert again.status == 1
    assert WRONG_AT_ZERO.search(again.output)
    assert "1 failed" in again.output

    folder = Run.of(in_folder.folder, "kept", "--continue-on-collection-errors")
    assert folder.status == 1
    assert "1 passed, 1 error" in folder.output
    assert "cut.case.json: is no JSON, or was cut off" in folder.output


def test_the_command_replays(in_folder: Run, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(in_folder.case_of("Wrong").relative_to(in_folder.folder))
    assert main(["replay", path, "--allow-layer", "layers.py:Wrong"]) == 1
    assert f"{path}: fails" in capsys.readouterr().out
    assert main(["replay", path]) == 2
    assert "--allow-layer layers.py:Wrong" in capsys.readouterr().err


def test_a_repaired_layer_no_longer_fails(
    in_folder: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = in_folder.case_of("Wrong")
    source = in_folder.folder / "layers.py"
    assert not replay(read(path), ["layers.py:Wrong"]).changed
    source.write_text(LAYERS.replace(">= 0", "> 0"))
    try:
        repaired = replay(read(path), ["layers.py:Wrong"])
        assert isinstance(repaired.outcome, Passed)
        assert repaired.changed
        assert main(["replay", str(path), "--allow-layer", "layers.py:Wrong"]) == 0
    finally:
        source.write_text(LAYERS)
    shown = capsys.readouterr().out
    assert "no longer fails" in shown
    assert "the layer changed since this case was written" in shown


def test_the_journal_holds_what_runs(run: Run, tmp_path: Path) -> None:
    case = read(run.case_of("Wrong")).case
    journal = Journal(tmp_path / "journal")
    assert case_in_flight(tmp_path / "journal") is None
    journal.write(json.dumps(CaseFile(case).to_dict()["case"]).encode())
    assert case_in_flight(tmp_path / "journal") == case
    journal.write(b" " * 2**21)  # more than it holds
    assert case_in_flight(tmp_path / "journal") is None
    journal.write(b'{"subject": {"na')
    assert case_in_flight(tmp_path / "journal") is None
    assert case_in_flight(tmp_path / "none") is None
