"""The faults that detection is measured with are what they say, and the command runs."""

import json

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.gradcheck_detection import smallest_found
from benchmarks.gradcheck_layers import LAYERS, OneWrongEntry, example, jacobian_by_backward
from gradcheck import check_gradients


@pytest.mark.parametrize("name", LAYERS)
def test_one_entry_is_wrong_by_its_share(name: str) -> None:
    drawn = example(name, 0, torch.float64)
    right = jacobian_by_backward(drawn.layer, drawn.input)
    output, entry = right.abs().eq(right.abs().max()).nonzero()[0].tolist()
    wrong = jacobian_by_backward(OneWrongEntry(drawn.layer, output, entry, 0.5), drawn.input)
    expected = right.clone()
    expected[output, entry] *= 1.5
    torch.testing.assert_close(wrong, expected)


def test_a_right_layer_in_the_wrapper_is_right() -> None:
    drawn = example("Conv2d", 0, torch.float64)
    assert check_gradients(OneWrongEntry(drawn.layer, 0, 0, 0.0), drawn.input).ok


def test_the_smallest_that_is_found() -> None:
    assert smallest_found(lambda share: share >= 0.9e-3) == pytest.approx(1e-3)
    assert smallest_found(lambda share: False) == float("inf")


def test_the_command_writes_what_it_measured(tmp_path, capsys) -> None:
    file = tmp_path / "figures.json"
    options = ["--repeats", "0", "--seeds", "0", "--entries", "1000", "--json", str(file)]
    assert main(["gradcheck", *options]) == 0
    figures = json.loads(file.read_text())
    assert [row["false_alarms"] for row in figures["specificity"]] == [[], []]
    assert "specificity" in capsys.readouterr().out
