"""A failure reads in a few lines, whatever its case holds."""

import math
from dataclasses import replace

import pytest
import torch

from gradcheck.rounding import unit_roundoff
from verification import catalogue
from verification.cases import Call, Case, LayerCall, Role, SubjectSpec, TensorSpec, Values
from verification.references.laws.enclosure import Enclosure
from verification.report.failure import failure_text, replay_command, tensor_line
from verification.trials.discrepancy import Discrepancy, Finding, discrepancies
from verification.trials.requirements import Requirements

INPUT = Role.INPUT
SPARSE = (0.0,) * 7 + (2.0,) + (0.0,) * 11 + (-0.0,)

LINES = {
    "nested": (
        TensorSpec("input", INPUT, (1, 2, 2), Values(stored=(0.0, 1.5, -2.0, 1e-30))),
        "input 1x2x2: [[[0, 1.5], [-2, 1e-30]]]",
    ),
    "not finite": (
        TensorSpec("input", INPUT, (3,), Values(stored=(math.nan, -math.inf, -0.0))),
        "input 3: [nan, -inf, -0]",
    ),
    "scalar": (TensorSpec("input", INPUT, (), Values(stored=(4.0,))), "input scalar: 4"),
    "empty": (TensorSpec("input", INPUT, (0, 3), Values(stored=())), "input 0x3: []"),
    "one of two inputs": (
        TensorSpec("target", INPUT, (1,), Values(stored=(1.0,))),
        "input target 1: [1]",
    ),
    "parameter": (
        TensorSpec("weight", Role.PARAMETER, (1,), Values(stored=(1.0,)), "channels_last"),
        "weight 1 channels_last: [1]",
    ),
    "cotangent": (
        TensorSpec("output", Role.COTANGENT, None, Values(stored=(1.0, 0.0))),
        "cotangent output: [1, 0]",
    ),
    "drawn": (
        TensorSpec("input", INPUT, (9, 9), Values("dense", 7), "strided", "float64"),
        "input 9x9 strided float64: dense, seed 7",
    ),
    "mostly zeros": (
        TensorSpec("input", INPUT, (4, 5), Values(stored=SPARSE)),
        "input 4x5: all 0 but [1,2]=2, [3,4]=-0",
    ),
    "all alike": (
        TensorSpec("input", INPUT, (4, 5), Values(stored=(math.nan,) * 20)),
        "input 4x5: all nan",
    ),
    "shape unknown": (
        TensorSpec("output", Role.COTANGENT, None, Values(stored=(*SPARSE[:-1], 1.0))),
        "cotangent output: all 0 but [7]=2, [19]=1",
    ),
    "many": (
        TensorSpec("input", INPUT, (40,), Values(stored=tuple(map(float, range(40))))),
        "input 40: all 0 but [1]=1, [2]=2",
    ),
}


@pytest.mark.parametrize(("spec", "line"), LINES.values(), ids=LINES)
def test_a_tensor_in_a_line(spec: TensorSpec, line: str) -> None:
    if len(spec.values.stored or ()) < 40:
        assert tensor_line(spec) == line
    else:
        assert tensor_line(spec).startswith(line)
        assert tensor_line(spec).endswith("[16]=16, ... 23 more")


def a_case(like: str | None = None) -> Case:
    return Case(
        SubjectSpec("mine.py:Mine", like),
        LayerCall.of(
            "Sequential", LayerCall.of("Conv2d", kernel_size=(1, 2)), LayerCall.of("ReLU")
        ),
        (TensorSpec("input", INPUT, (1,), Values(stored=(1.0,))),),
        "gradients_match_reference",
        calls=(Call("forward"), Call("zero_grad")),
        options=(("axis", 1),),
    )


def test_the_whole_block() -> None:
    finding = Finding("value", "output", "output wrong at [0]: got 1", (0,), wrong=3, total=8)
    text = failure_text(Discrepancy.of("p_q", finding, a_case()), "pytest --replay-case x")
    assert text.splitlines() == [
        "Sequential  p q  float32 cpu",
        "  output wrong at [0]: got 1; 3 of 8 entries",
        "  Sequential(Conv2d(kernel_size=(1, 2)), ReLU())",
        "  axis=1",
        "  input 1: [1]",
        "  call 1: forward",
        "  call 2: zero_grad",
        "  replay: pytest --replay-case x",
    ]


def test_the_replay_allows_a_layer_outside_the_catalogue() -> None:
    assert replay_command(a_case(), "f") == "pytest --replay-case f"
    foreign = replay_command(a_case("ReLU"), "f")
    assert foreign == "pytest --replay-case f --verify-allow-layer mine.py:Mine"


def test_discrepancies_are_found_in_groups() -> None:
    one, two = (
        Discrepancy.of("p", Finding("value", tensor, ""), a_case()) for tensor in ("x", "y")
    )
    assert list(discrepancies(None)) == []
    assert list(discrepancies(one)) == [one]
    nested = ExceptionGroup("all", [one, ValueError(), ExceptionGroup("inner", [two])])
    assert list(discrepancies(nested)) == [one, two]
    assert type(one) is not type(two)


THIRD = 1 / 3


@pytest.mark.parametrize(
    ("got", "dtype", "says"),
    [
        (THIRD + 2.0**-26, "float64", "(as far off as float32 would be: is something computed"),
        (THIRD + 2.0**-12, "float32", "(as far off as float16 would be"),
        (THIRD + 2.0**-9, "float32", "(as far off as bfloat16 would be"),
        (0.34, "float64", "got 0.34, expected 0.333333333, bound 1.5e-16"),
        (0.4, "float32", "got 0.400000006, expected 0.333333333, bound 7.9e-08"),
        (THIRD + 2.0**-52, "float64", "got 0.33333333333333354, expected 0.33333333333333331,"),
        (math.nan, "float64", "got nan, expected 0.333333333, bound 1.5e-16"),
        (math.inf, "float32", "got inf, expected 0.333333333, bound 7.9e-08"),
    ],
)
def test_what_a_coarser_dtype_explains_is_said(got: float, dtype: str, says: str) -> None:
    own = getattr(torch, dtype)
    bound = 4 * THIRD * unit_roundoff(own)
    truth = Enclosure(*(torch.tensor([n], dtype=torch.float64) for n in (THIRD, bound, 1)), False)
    trial = Requirements(replace(a_case(), dtype=dtype), catalogue.find("scratch_layers.ReLU"))
    with pytest.raises(Discrepancy) as raised:
        trial.require_close("output", torch.tensor([got], dtype=own), truth)
    assert says in str(raised.value)
    assert says.startswith("(") == str(raised.value).endswith("is something computed in it?)")
