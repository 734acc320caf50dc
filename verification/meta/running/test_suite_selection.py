"""What a run selects, what its summary says, and the profiles."""

import json
from pathlib import Path

import hypothesis
import pytest

from gradcheck.subjects import OFFERS
from verification import catalogue
from verification.meta.processes import SUITE, pytest_in
from verification.properties import PROPERTIES
from verification.references.row import Clause, Trait
from verification.running import profiles
from verification.running.selection import DEVICES, DTYPES, Selection, absent
from verification.subjects.entry import DECLARED_REFUSALS, TRUTH


def test_every_pair_is_planned_or_has_a_reason() -> None:
    everything = Selection()
    planned = {(target.entry.name, target.prop.name) for target in everything.targets()}
    left_out = {(pair.entry.name, pair.prop.name) for pair in everything.inapplicable()}
    assert not planned & left_out
    assert len(planned | left_out) == len(catalogue.SHIPPED) * len(PROPERTIES)
    assert len(everything.targets()) == len(planned) * len(DEVICES) * len(DTYPES)
    assert all(pair.missing for pair in everything.inapplicable())


def test_whatever_may_be_needed_has_a_name_of_its_own() -> None:
    """All are strings in one set, so a clause named as an offer would stand for it."""
    names = [*map(str, Trait), *map(str, Clause), *OFFERS, TRUTH, DECLARED_REFUSALS]
    assert len(set(names)) == len(names)


def test_ids_are_told_apart() -> None:
    ids = [str(target) for target in Selection().targets()]
    assert len(set(ids)) == len(ids)
    assert "Conv2d-gradients_match_reference-cpu-float32" in ids


def test_names_select() -> None:
    chosen = Selection(("Conv2d", "ReLU"), ("forward_matches_reference",), ("cpu",), ("float64",))
    assert [str(target) for target in chosen.targets()] == [
        "Conv2d-forward_matches_reference-cpu-float64",
        "ReLU-forward_matches_reference-cpu-float64",
    ]


@pytest.mark.parametrize(
    ("what", "name"),
    [("layers", "Conv9d"), ("properties", "speed"), ("devices", "tpu"), ("dtypes", "int8")],
)
def test_unknown_names_are_refused(what: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown .* {name!r}: choose from"):
        Selection(**{what: (name,)})


def test_profiles() -> None:
    chosen = {name: hypothesis.settings.get_profile(name) for name in profiles.EXAMPLES}
    assert {name: s.max_examples for name, s in chosen.items()} == profiles.EXAMPLES
    assert {s.deadline for s in chosen.values()} == {None}
    assert chosen["ci"].derandomize
    assert chosen["ci"].database is None
    assert not any(chosen[name].derandomize for name in ("dev", "thorough", "nightly"))


def test_a_profile_that_is_there_stays() -> None:
    own = hypothesis.settings(max_examples=7, deadline=None)
    before = hypothesis.settings.get_profile("thorough")
    hypothesis.settings.register_profile("thorough", own)
    try:
        profiles.register()
        assert hypothesis.settings.get_profile("thorough").max_examples == 7
    finally:
        hypothesis.settings.register_profile("thorough", before)


def test_a_run_in_another_folder_reports_there(tmp_path: Path) -> None:
    status, output = pytest_in(
        tmp_path,
        SUITE,
        "--verify-layer=ReLU",
        "--verify-property=forward_matches_reference",
        "--verify-property=input_gradient_is_adjoint",
        "--verify-examples=7",
    )
    assert status == 0, output
    assert "not exercised, needs linear in the input: input_gradient_is_adjoint" in output
    summary = json.loads((tmp_path / "reports/verify/summary.json").read_text())
    cells = {(cell["device"], cell["dtype"]): cell for cell in summary["cells"]}
    assert cells["cpu", "float32"]["result"] == "passed"
    assert cells["cpu", "float64"]["examples"] == 7
    assert cells["cpu", "float64"]["reach"]["contiguous input"] > 0
    assert [pair["property"] for pair in summary["not_applicable"]] == ["input_gradient_is_adjoint"]
    if absent("cuda"):
        assert "cuda: not exercised (no CUDA device)" in output
        assert "2 passed, 3 skipped" in output
        assert cells["cuda", "float32"]["reason"] == "no CUDA device"


def test_bad_options_end_the_run(tmp_path: Path) -> None:
    status, output = pytest_in(tmp_path, SUITE, "--verify-layer=Conv9d")
    assert status != 0
    assert "unknown layer 'Conv9d': choose from Conv2d" in output
    status, output = pytest_in(tmp_path, SUITE, "--verify-examples=0")
    assert (status, "--verify-examples is 0" in output) == (4, True)
    status, output = pytest_in(tmp_path, SUITE, "--replay-case", "none.case.json")
    assert (status, "there is no file none.case.json" in output) == (4, True)
