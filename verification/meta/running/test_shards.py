"""The shards of a run: each campaign in one of them, joined again, and none forgotten."""

import json
from pathlib import Path

import pytest

from verification import catalogue
from verification.__main__ import main
from verification.meta.processes import SUITE, pytest_in
from verification.properties import PROPERTIES
from verification.report.summary import Cell, Result, Summary, read
from verification.running.selection import Selection, Shard


def test_every_campaign_is_in_one_shard() -> None:
    whole = [str(target) for target in Selection().targets()]
    parts = [Selection(shard=Shard(n, 8)).targets() for n in range(1, 9)]
    assert sorted(str(target) for part in parts for target in part) == sorted(whole)
    assert max(len(part) for part in parts) < len(whole) / 4
    inapplicable = [Selection(shard=Shard(n, 8)).inapplicable() for n in range(1, 9)]
    assert sum(map(len, inapplicable)) == len(Selection().inapplicable())


def test_the_parts_are_the_same_on_every_machine() -> None:
    entry, prop = catalogue.find("scratch_layers.ReLU"), PROPERTIES["gradients_match_reference"]
    assert [n for n in range(1, 10) if Shard(n, 9).has(entry, prop)] == [1]
    assert [n for n in range(1, 4) if Shard(n, 3).has(entry, prop)] == [1]


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/", "-1/8", "a/b", "1/8/2", ""])
def test_no_shard(text: str) -> None:
    with pytest.raises(ValueError, match="write NUMBER/COUNT"):
        Shard.of(text)


def a_shard(folder: Path, name: str, result: Result = Result.PASSED, **more: str) -> str:
    cell = Cell("ReLU", f"p{name}", "parity", "correctness", "cpu", "float32", result, examples=5)
    where = {"torch": "2.13.0", "profile": "nightly", "shard": name, **more}
    shard = folder / name.replace("/", "-")
    Summary((cell,), (), 3.0, where).write(shard)
    return str(shard)


@pytest.mark.parametrize(("result", "status"), [(Result.PASSED, 0), (Result.FAILED, 1)])
def test_shards_are_joined(result: Result, status: int, tmp_path: Path) -> None:
    folders = [a_shard(tmp_path, "1/2"), a_shard(tmp_path, "2/2", result)]
    whole = tmp_path / "whole"
    assert main(["merge", *folders, "--into", str(whole)]) == status
    joined = read(whole)
    assert [cell.property for cell in joined.cells] == ["p1/2", "p2/2"]
    assert (joined.examples, joined.seconds) == (10, 3.0)
    assert joined.provenance == {"torch": "2.13.0", "profile": "nightly", "shards": "2"}
    assert {p.name for p in whole.iterdir()} == {"summary.json", "report.md", "index.html"}


def test_a_missing_shard_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [a_shard(tmp_path, f"{n}/4") for n in (1, 3)]
    assert main(["merge", *folders, "--into", str(tmp_path / "whole")]) == 2
    assert "shard 2/4, 4/4 is missing: run it again" in capsys.readouterr().err
    assert not (tmp_path / "whole").exists()


def test_what_is_not_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = a_shard(tmp_path, "1/2")
    wrong = {
        "1/2 is there twice": [first, first, a_shard(tmp_path / "a", "2/2")],
        "torch is 2.13.0 and 2.14.0": [first, a_shard(tmp_path / "b", "2/2", torch="2.14.0")],
        "the shards are of 2 and 3": [first, a_shard(tmp_path / "c", "2/3")],
        "is of no shard": [first, a_shard(tmp_path / "d", "")],
    }
    for says, folders in wrong.items():
        assert main(["merge", *folders, "--into", str(tmp_path / "whole")]) == 2
        assert says in capsys.readouterr().err


def test_a_shard_says_which_it_is(tmp_path: Path) -> None:
    status, output = pytest_in(
        tmp_path, SUITE, "--verify-layer=ReLU", "--verify-shard=1/9", "--verify-examples=1"
    )
    assert status == 0, output
    summary = json.loads((tmp_path / "reports/verify/summary.json").read_text())
    assert summary["provenance"]["shard"] == "1/9"
    expected = Selection(("ReLU",), shard=Shard(1, 9)).targets()
    assert len(summary["cells"]) == len(expected)
