"""summary.json: its schema fits what runs write, refuses what they do not, and is explained."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import verification
from verification.meta.report.test_page import SUMMARY
from verification.report.summary import Known, NotApplicable, Result, Summary, from_dict, read
from verification.report.terminal import not_exercised_lines

ROOT = Path(__file__).parents[3]


def schema() -> dict[str, Any]:
    text = resources.files("verification.report").joinpath("summary.schema.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def test_what_was_written_is_read(tmp_path: Path) -> None:
    whole = replace(SUMMARY, known=(Known("ReLU", "gradients_match", "input gradient value"),))
    whole.write(tmp_path)
    assert read(tmp_path) == whole


class PassesAll:
    def forward(self, x: Any) -> Any:
        return x.clamp(min=0)

    def backward(self, grad_output: Any) -> Any:
        return grad_output


def test_the_report_of_a_check_is_a_summary(tmp_path: Path) -> None:
    report = verification.check(
        PassesAll,
        like="ReLU",
        properties=["gradients_match_reference", "forward_matches_reference"],
        examples=20,
        supervised=False,
        cases=tmp_path,
    )
    found = from_dict(json.loads(json.dumps(report.to_dict())))
    assert found.results()[Result.FAILED] == 2
    assert found == report.summary


WRONG = {
    "cells[0].result: 'fine' is not one of": lambda data: data["cells"][0].update(result="fine"),
    "cells[0].examples: -1 is less than": lambda data: data["cells"][0].update(examples=-1),
    "cells[1]: Additional properties": lambda data: data["cells"][1].update(more=1),
    "the file: 'known' is a required": lambda data: data.pop("known"),
    "schema 2, this version reads 1": lambda data: data.update(schema=2),
    "totals: 'seconds' is a required": lambda data: data["totals"].pop("seconds"),
}


@pytest.mark.parametrize("says", WRONG)
def test_what_is_no_summary_is_refused(says: str, tmp_path: Path) -> None:
    data = json.loads(json.dumps(SUMMARY.to_dict()))
    WRONG[says](data)
    (tmp_path / "summary.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f"is no summary of a run: .*{re.escape(says)}"):
        read(tmp_path)


def names_of(part: Any) -> Iterator[str]:
    """Every field that a schema names."""
    if isinstance(part, dict):
        yield from part.get("properties", {})
        for inner in part.values():
            yield from names_of(inner)


def test_every_field_is_explained() -> None:
    explained = re.findall(r"`([^`\n]+)`", (ROOT / "docs/report.md").read_text())
    fields = set(names_of(schema()))
    assert len(fields) > 30
    assert fields - set(explained) == set()


def test_what_several_layers_lack_is_counted_on_the_terminal_and_listed_elsewhere() -> None:
    pairs = (NotApplicable("ReLU", "q", ("state",)), NotApplicable("SGD", "q", ("a backward",)))
    summary = Summary((), pairs)
    assert list(not_exercised_lines(summary)) == [
        "not exercised, needs state: ReLU q",
        "not exercised, needs a backward: SGD q",
    ]
    (line,) = not_exercised_lines(summary, short=True)
    assert "needs: 2 pairs" in line
    (line,) = not_exercised_lines(Summary((), pairs[:1]), short=True)
    assert line == "not exercised, needs state: q"
