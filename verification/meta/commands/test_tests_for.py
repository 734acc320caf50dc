"""The properties of one's own layer as pytest items: names, verdicts, skips, and no layer code at
collection.
"""

from pathlib import Path

import pytest

import verification
from verification.meta.processes import PLUGIN, pytest_in
from verification.report.summary import Result, read
from verification.subjects.loading import SubjectError

TESTS = """
import verification

class Mine:
    def forward(self, x):
        self.x = x
        return x.clamp(min=0)

    def backward(self, grad_output):
        return grad_output * (self.x > 0)

class Wrong(Mine):
    def backward(self, grad_output):
        return grad_output * (self.x >= 0)

asked = {"like": "ReLU", "dtypes": ["float32"], "properties": ["gradients_match_reference"]}
test_mine = verification.tests_for(Mine, **asked)
test_wrong = verification.tests_for(Wrong, **asked)
test_gone = verification.tests_for("dies.py:Mine", **asked)
"""

DIES = "import os\nos._exit(7)\n"


def test_each_property_is_an_item(tmp_path: Path) -> None:
    (tmp_path / "test_layers.py").write_text(TESTS)
    (tmp_path / "dies.py").write_text(DIES)
    status, shown = pytest_in(tmp_path, *PLUGIN, "-v", "--verify-examples=20", CI="true")
    assert status == 1, shown
    item = "gradients_match_reference-cpu-float32"
    assert f"test_layers.py::test_mine[{item}] PASSED" in shown
    assert f"test_layers.py::test_wrong[{item}] FAILED" in shown
    assert "input gradient wrong at" in shown
    assert "dies.py:Mine cannot be imported in a process of its own: exit 7" in shown
    assert "2 failed, 1 passed" in shown

    summary = read(tmp_path / "reports/verify")
    ended = {cell.layer: cell.result for cell in summary.cells}
    assert ended == {"test_layers:Mine": Result.PASSED, "test_layers:Wrong": Result.FAILED}
    known = (tmp_path / "reports/verify/summary.json").rename(tmp_path / "known.json")
    (tmp_path / "dies.py").unlink()
    (tmp_path / "test_layers.py").write_text(TESTS.partition("test_gone")[0])
    arguments = "-n=1", "--verify-examples=20", f"--verify-baseline={known}"
    status, shown = pytest_in(tmp_path, *PLUGIN, *arguments, CI="true")
    assert (status, "1 passed, 1 xfailed" in shown) == (0, True), shown
    cause = "gradients match reference, input gradient value"
    assert f"known: test_layers:Wrong, {cause}" in shown


def test_what_cannot_be_asked_is_said_at_once() -> None:
    with pytest.raises(SubjectError, match="no row judges layers like 'Pool'"):
        verification.tests_for("nowhere:Mine", like="Pool")
    with pytest.raises(ValueError, match="unknown property 'p'"):
        verification.tests_for("nowhere:Mine", like="ReLU", properties=["p"])
    with pytest.raises(ValueError, match="no reason is given to waive empty-batch"):
        verification.tests_for("nowhere:Mine", like="ReLU", waive={"empty-batch": ""})
