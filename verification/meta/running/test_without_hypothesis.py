"""A replay draws nothing: where Hypothesis is not installed, cases run all the same."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import verification

ROOT = Path(__file__).parents[3]
REGRESSIONS = ROOT / "verification/regressions"
RELU = next(REGRESSIONS.glob("relu-*.case.json"))

HIDDEN = 'raise ModuleNotFoundError("No module named \'hypothesis\'", name="hypothesis")\n'


@pytest.fixture
def without(tmp_path: Path) -> Path:
    """A folder in which, and in whose child processes, there is no Hypothesis."""
    (tmp_path / "hypothesis.py").write_text(HIDDEN)
    return tmp_path


def python(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": f"{folder}:{ROOT}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # Hypothesis's own plugin is installed
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_replays(without: Path) -> None:
    paths = [str(path) for path in REGRESSIONS.glob("*.case.json")]
    status, output = python(without, "-m", "verification", "replay", *paths)
    assert status == 0, output
    assert output.count("no longer fails") == len(paths)


def test_pytest_replays(without: Path) -> None:
    shutil.copy(RELU, without)  # here the root conftest.py wants Hypothesis
    replay = ["-m", "pytest", "-p", "verification.plugin", "--replay-case"]
    status, output = python(without, *replay, RELU.name)
    assert (status, "1 passed" in output) == (0, True), output


MINE = """
import numpy

class Mine:  # arrays, and names of its own
    def __init__(self, n_in, n_out):
        self.W, self.b = numpy.zeros((n_in, n_out)), numpy.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad_output):
        self.dW = self.x.reshape(-1, self.x.shape[-1]).T @ grad_output.reshape(-1, len(self.b))
        self.db = grad_output.reshape(-1, len(self.b)).mean(0)
        return grad_output @ self.W.T

def softsign(x):
    return x / (1 + x.detach().abs())
"""


def failing_case(name: str, **asked: Any) -> Path:
    """The case file of a failure, written where Hypothesis is."""
    report = verification.check(name, **asked, examples=10, dtypes=["float64"], supervised=False)
    (failure, *_) = (failure for cell in report.summary.cells for failure in cell.failures)
    assert failure.case is not None
    return Path(failure.case)


def test_a_case_says_how_its_layer_is_driven(
    without: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(without)
    (without / "mine.py").write_text(MINE)
    asked = {"like": "Linear", "properties": ["gradients_match_reference"]}
    case = failing_case("mine.py:Mine", **asked)
    replay = ["-m", "verification", "replay", str(case), "--allow-layer=mine.py:Mine"]
    status, output = python(without, *replay)
    assert (status, "bias gradient wrong" in output) == (1, True), output

    earlier = json.loads(case.read_text())  # by a version that did not write it down
    del earlier["case"]["subject"]["found"]
    case.write_text(json.dumps(earlier))
    status, output = python(without, *replay)
    assert (status, "No module named 'hypothesis'" in output) == (2, True), output


def test_a_described_function_replays(without: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(without)
    (without / "mine.py").write_text(MINE)
    asked = {"inputs": {"x": "n"}, "properties": ["gradients_are_derivatives_of_forward"]}
    case = failing_case("mine.py:softsign", **asked)
    replay = ["-m", "verification", "replay", str(case), "--allow-layer=mine.py:softsign"]
    status, output = python(without, *replay)
    assert (status, "x gradient of softsign wrong" in output) == (1, True), output
