"""What a replay shows: how the layer reads its picture, and the worst entries side by side."""

import math
import pdb
from dataclasses import replace
from pathlib import Path

import pytest

from verification.__main__ import main
from verification.cases import Case, LayerCall, Role, SubjectSpec, TensorSpec, Values
from verification.cases.case_file import CaseFile
from verification.report.comparison import comparison_lines, place
from verification.report.geometry import MOST_OUTPUTS, geometry_lines
from verification.trials.discrepancy import MOST_COMPARED, Compared


def on_a_picture(size: tuple[int, int], **arguments: object) -> Case:
    return Case(
        SubjectSpec("scratch_layers.Conv2d"),
        LayerCall.of("Conv2d", **arguments),
        (TensorSpec("input", Role.INPUT, (1, 1, *size)),),
        "p",
    )


DRAWINGS = {
    "stride, padding, remainder": (
        on_a_picture((6, 1), kernel_size=(2, 1), stride=2, dilation=(2, 1), padding=(1, 0)),
        ["rows: pixels 6, outputs 3, left over 1", "   0 o.#....0", "   1 0.#.#..0"],
    ),
    "same, of an odd total": (
        on_a_picture((2, 1), kernel_size=(2, 1), stride=1, dilation=1, padding="same"),
        ["rows: pixels 2, outputs 2, left over 0", "   0 ##0", "   1 .#o"],
    ),
    "valid": (
        on_a_picture((2, 1), kernel_size=(2, 1), stride=1, dilation=1, padding="valid"),
        ["rows: pixels 2, outputs 1, left over 0", "   0 ##"],
    ),
    "transposed": (
        on_a_picture((2, 1), kernel_size=2, stride=2, dilation=1, padding=1, output_padding=(1, 0)),
        ["rows: pixels 2, outputs 3; each pixel writes to", "   0 o#..0", "   1 0.##0"],
    ),
    "enlarged": (
        on_a_picture((3, 2), scale_factor=(1.5, 2.0)),
        ["rows: pixels 3, enlarged 4", "columns: pixels 2, enlarged 4"],
    ),
}


@pytest.mark.parametrize(("case", "begins"), DRAWINGS.values(), ids=DRAWINGS)
def test_drawings(case: Case, begins: list[str]) -> None:
    assert list(geometry_lines(case))[: len(begins)] == begins


def test_a_drawing_stays_small() -> None:
    wide = on_a_picture((20, 100), kernel_size=1, stride=1, dilation=1, padding=0)
    lines = list(geometry_lines(wide))
    assert len(lines) == MOST_OUTPUTS + 3
    assert lines[-2:] == ["  and 8 more", "columns: pixels 100, outputs 100, left over 0"]


def test_what_has_no_picture_has_no_drawing() -> None:
    case = on_a_picture((2, 2), kernel_size=1, stride=1, dilation=1, padding=0)
    flat = replace(case, tensors=(TensorSpec("input", Role.INPUT, (3,)),))
    assert list(geometry_lines(flat)) == []
    assert list(geometry_lines(replace(case, options=(("error", "ValueError"),)))) == []
    assert list(geometry_lines(replace(case, layer=LayerCall.of("ReLU")))) == []


def test_the_worst_entries_side_by_side() -> None:
    compared = Compared((2, 3), (5, 0), (1.5, math.nan), (1.0, 2.0), (0.25, 0.0))
    assert list(comparison_lines(compared)) == [
        "entry  got  expected  difference  bound",
        "[1,2]  1.5         1         0.5   0.25",
        "[0,0]  nan         2         nan      0",
    ]
    many = Compared((20,), tuple(range(20)), *((0.0,) * 20,) * 3)
    assert list(comparison_lines(many))[-1] == "and 12 more"
    assert place(0, ()) == "[]"


RELU = Case(
    SubjectSpec("mine.py:Mine", "ReLU"),
    LayerCall.of("ReLU"),
    (
        TensorSpec("input", Role.INPUT, (400,), Values(stored=(1.0,) + (0.0,) * 399)),
        TensorSpec("output", Role.COTANGENT, None, Values(stored=(2.0,) * 400)),
    ),
    "gradients_match_reference",
)

MINE = """
import torch

class Mine:
    def forward(self, x):
        self.x = x
        return x.clamp(min=0)

    def backward(self, grad_output):
        return grad_output * (self.x >= 0)
"""


@pytest.fixture
def case_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    return str(CaseFile(RELU).write(Path()))


def test_the_command_shows_them_in_another_dtype(
    case_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = "--allow-layer=mine.py:Mine"
    assert main(["replay", case_file, allowed, "--dtype=float64"]) == 1
    shown = capsys.readouterr().out
    assert "ReLU  gradients match reference  float64 cpu" in shown
    assert "[1]      2         0           2      0" in shown
    assert f"and {MOST_COMPARED - 8} more" in shown
    assert main(["replay", case_file, allowed, "--device=abacus"]) == 2


def test_debug_stops_at_the_discrepancy(case_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames: list[str] = []

    def post_mortem(trace: object) -> None:
        while trace is not None:
            frames.append(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next

    monkeypatch.setattr(pdb, "post_mortem", post_mortem)
    assert main(["replay", case_file, "--allow-layer=mine.py:Mine", "--debug"]) == 1
    assert frames[0] == "_judged"  # of run_case, where the discrepancy is caught
    assert "check_gradients_match_reference" in frames
