"""What a CI job shows: annotations at the layer's source line, how far a long run is; and that the
action and the workflow call what is there.
"""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from scratch_layers import ReLU
from verification.__main__ import main
from verification.plugin.controller import progress_line
from verification.report.annotations import annotation_lines
from verification.report.summary import Cell, Failure, Result
from verification.subjects.loading import source_of

ROOT = Path(__file__).parents[3]

FAILED = Cell(
    "ReLU",
    "gradients_match",
    "parity",
    "correctness",
    "cpu",
    "float32",
    Result.FAILED,
    "",
    (Failure("100% wrong\nat [0]", replay="pytest --replay-case x"),),
)


def test_an_annotation_is_at_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (line,) = annotation_lines([FAILED], source_of(ReLU))
    found = re.fullmatch(r"::error file=(.*),line=(\d+),title=(.*?)::(.*)", line)
    assert found is not None
    assert found[1] == "scratch_layers/activations.py"
    source = (ROOT / found[1]).read_text().splitlines()
    assert source[int(found[2]) - 1].startswith("class ReLU")
    assert found[3] == "ReLU%3A gradients match%2C float32 cpu"
    assert found[4] == "100%25 wrong%0Aat [0]%0Apytest --replay-case x"
    (placeless,) = annotation_lines([FAILED], source_of(int))
    assert placeless.startswith("::error title=")


LAYER = """
class Mine:
    def forward(self, x):
        return x.clamp(min=1)

    def backward(self, grad_output):
        return grad_output
"""


@pytest.mark.parametrize("on_github", [True, False])
def test_a_check_annotates_on_github_only(
    on_github: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", str(on_github).lower())
    Path("mine.py").write_text(LAYER)
    asked = ["check", "mine.py:Mine", "--like=ReLU", "--dtype=float32", "--examples=3"]
    assert main([*asked, "--property=forward_matches_reference"]) == 1
    assert ("::error file=mine.py,line=2," in capsys.readouterr().out) is on_github


def report(outcome: str, examples: int) -> pytest.TestReport:
    made = pytest.TestReport("x", ("x", 1, "x"), {}, outcome, None, "call")  # type: ignore[arg-type]
    made.verification = {"tally": {"examples": examples}}  # type: ignore[attr-defined]
    return made


def test_the_progress_line() -> None:
    reports = {"a": report("passed", 100), "b": report("failed", 40)}
    assert progress_line(reports, 10, 30.0, "ReLU-p") == (
        "verification: 2 of 10 campaigns, 140 examples, 1 failed, about 120 s left; latest ReLU-p"
    )


COMMANDS = re.compile(r"python -m verification (\w+) ([^\n]*)")

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", [ROOT / "action.yml", *WORKFLOWS], ids=lambda path: path.name)
def test_what_a_job_calls_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = path.read_text()
    for command, options in COMMANDS.findall(text):
        if "`" in options:  # a sentence about the command
            continue
        with pytest.raises(SystemExit) as left:
            main([command, "--help"])
        assert left.value.code == 0
        shown = capsys.readouterr().out
        assert all(o in shown for o in shlex.split(options) if o.startswith("--"))
    known = re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    for sessions in re.findall(r"nox -s ((?:\w+ ?)+)", text):
        assert set(sessions.split()) <= set(known)
    for name in re.findall(r"inputs\.([\w-]+)", text):
        assert f"\n  {name}:\n" in text
    for file in re.findall(r"constraints/[\w.]+", text):
        assert (ROOT / file).is_file()


def blocks(path: Path) -> dict[str, str]:
    """The shell blocks of a job's steps, by the steps' names."""
    step = re.compile(
        r"^( *)- name: (.+)\n(?:\1  (?!run).*\n|\1   .*\n)*\1  run: (.*)\n((?:\1   .*\n)*)", re.M
    )
    found = {}
    for _, name, first, more in step.findall(path.read_text()):
        lines = textwrap.dedent(more)
        found[name] = (
            first
            if first not in (">-", "|")
            else lines
            if first == "|"
            else " ".join(lines.split("\n"))
        )
    return found


def shell(block: str, folder: Path, **environment: str) -> int:
    """A block's exit status, run as GitHub runs it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", block]
    return subprocess.run(
        command, cwd=folder, env=inherited | environment, check=False, timeout=300
    ).returncode


@pytest.mark.parametrize(
    ("layer", "like", "options", "status"),
    [
        ("Mine", "ReLU", "--dtype float32 --property forward_matches_reference --examples 3", 1),
        ("double", "", "--input 'x: n m' --examples 1 --reason '$(touch run)' --waive p", 2),
        ("double", "", "--input 'x: n m' --property gradients_are_derivatives_of_forward", 0),
        ("Mine", "", "", 2),
    ],
)
def test_the_action_checks_a_layer(
    layer: str, like: str, options: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(LAYER + "\ndef double(x):\n    return 2 * x\n")
    block = blocks(ROOT / "action.yml")["Check"]
    given = {"LAYER": f"mine.py:{layer}", "LIKE": like, "OPTIONS": options}
    assert shell(block, tmp_path, **given) == status
    assert (tmp_path / "reports/check.json").exists() is (status != 2)
    assert not (tmp_path / "run").exists()


def test_the_night_joins_the_examples_of_its_shards(tmp_path: Path) -> None:
    block = blocks(ROOT / ".github/workflows/night.yml")["Join the examples of the shards"]
    for shard in ("one", "two"):
        examples = tmp_path / "shards" / shard / ".hypothesis/examples"
        examples.mkdir(parents=True)
        (examples / shard).write_text(shard)
    (tmp_path / "shards/killed/reports").mkdir(parents=True)
    assert shell(block, tmp_path) == 0
    assert {path.name for path in (tmp_path / "examples").iterdir()} == {"one", "two"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_report_is_shown_where_there_is_one(path: Path, tmp_path: Path) -> None:
    block, page = blocks(path)["Show the report on the job's page"], tmp_path / "page"
    page.write_text("")
    assert shell(block, tmp_path, GITHUB_STEP_SUMMARY=str(page)) == 0
    (tmp_path / "reports/verify").mkdir(parents=True)
    (tmp_path / "reports/verify/report.md").write_text("the verdict")
    assert shell(block, tmp_path, GITHUB_STEP_SUMMARY=str(page)) == 0
    assert page.read_text() == "the verdict"


def test_the_jobs_call_something() -> None:
    assert COMMANDS.search((ROOT / "action.yml").read_text())
    assert all("nox -s verify" in path.read_text() for path in WORKFLOWS)
    assert len(WORKFLOWS) == 2
