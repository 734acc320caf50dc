"""Failures told apart by cause: the condition that the cases give, and the worst first."""

import pytest

import verification
from verification.cases import Case, LayerCall, Role, SubjectSpec, TensorSpec
from verification.report.causes import causes
from verification.report.summary import Cell, Failure, Result
from verification.running.causes import condition, facts

DENSE = "dense values"


def cells(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("failed", "passed", "says"),
    [
        ([cells("a", DENSE)] * 3, [cells("b"), cells(DENSE)], "whenever a"),
        ([cells("a", DENSE)] * 3, [cells("b")], "whenever a"),
        ([cells("b")] * 3, [cells("a", "b"), cells("a")], "unless a"),
        ([cells("a", "b")] * 3, [cells("a"), cells("b")], "whenever a, and b"),
        ([cells("a")] * 3, [cells("a"), cells(), cells()], "only where a"),
        ([cells("a")] * 3, [cells("a"), cells("a"), cells()], ""),
        ([cells("a"), cells("b"), cells("a")], [cells("a"), cells("b")], ""),
        ([cells("a")] * 2, [cells("b")], ""),
        ([cells("a")] * 3, [], "always"),
    ],
)
def test_the_condition(failed: list, passed: list, says: str) -> None:
    assert condition(failed, passed) == says


def test_what_is_said_of_a_case() -> None:
    layer = LayerCall.of("Conv2d", kernel_size=(3, 1), padding="same", stride=1, bias=False)
    case = Case(SubjectSpec("x"), layer, (TensorSpec("input", Role.INPUT, (1, 1, 4, 4)),), "p")
    found = facts(case)
    assert {"kernel_size > 1", "padding='same'", "bias=False", "one sample"} <= found
    assert "stride > 1" not in found


def cell(prop: str, *failures: Failure) -> Cell:
    names = ("Conv2d", prop, "parity", "correctness", "cpu", "float32")
    return Cell(*names, Result.FAILED, "", failures)


def test_the_worst_comes_first_and_each_cause_has_one_line() -> None:
    raised = Failure("forward raises", cause="raised ValueError", when="always; 9 of 9 cases")
    weight = Failure("weight gradient wrong", cause="weight gradient value")
    told = Failure(
        "weight gradient wrong", cause="weight gradient value", when="whenever a; 1 of 2"
    )
    bias = Failure("bias gradient wrong", cause="bias gradient value", when="3 of 9 cases")
    shape = Failure("output has shape 1", cause="output shape", when="2 of 9 cases")
    found = [cell("p_q", raised, weight), cell("r", raised, told, bias), cell("s", raised)]
    found.append(cell("s", shape))
    assert [str(cause) for cause in causes(found)] == [
        "weight gradient wrong whenever a; 1 of 2 (p q, and 1 more)",
        "bias gradient wrong in 3 of 9 cases (r)",
        "output shape wrong in 2 of 9 cases (s)",
        "raised ValueError always; 9 of 9 cases (p q, and 2 more)",
    ]


LAYER = """
class Mine:
    def forward(self, x):
        self.x = x
        return x.clamp(min=0)

    def backward(self, grad_output):
        if grad_output.dim() == 4 and grad_output.shape[1] > 1:
            return grad_output
        if grad_output.shape[0] == 3:
            raise ValueError("too many")
        return grad_output * (self.x > 0)
"""


def test_two_faults_are_two_causes(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(LAYER)
    report = verification.check(
        "mine.py:Mine", like="ReLU", properties=["gradients_match_reference"], dtypes=["float64"]
    )
    wrong, raised = causes(report.failures)
    assert str(wrong).startswith("input gradient wrong only where several channels; ")
    assert str(raised).startswith("raised ValueError")
    assert "causes, the worst first:\n  1. input gradient wrong only where" in str(report)
