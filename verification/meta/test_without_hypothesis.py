"""A replay draws nothing: where Hypothesis is not installed, cases of the catalogue run all the
same.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


def test_what_draws_says_what_is_missing(without: Path) -> None:
    """A layer of one's own: a few drawn cases find out how it is driven."""
    (without / "mine.py").write_text("from scratch_layers import ReLU\n")
    data = json.loads(RELU.read_text())
    data["case"]["subject"] |= {"name": "mine.py:ReLU", "like": "ReLU"}
    (without / "mine.case.json").write_text(json.dumps(data))
    replay = ["-m", "verification", "replay", "mine.case.json", "--allow-layer=mine.py:ReLU"]
    status, output = python(without, *replay)
    assert (status, "No module named 'hypothesis'" in output) == (2, True), output
