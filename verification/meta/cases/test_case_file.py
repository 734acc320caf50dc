"""A case file loses nothing, and a bad one is refused by name before anything runs."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scratch_layers import ReLU
from verification import catalogue
from verification.cases import Case, LayerCall, Role, SubjectSpec, TensorSpec, Values
from verification.cases.case_file import (
    LARGEST_CASE,
    CaseFile,
    CaseFileError,
    case_from_json,
    case_to_json,
    parse,
    read,
)
from verification.properties import PROPERTIES
from verification.references.index import ROWS
from verification.report.failure import replay_command
from verification.running.replay import replay
from verification.subjects.driving.drivers import Driver
from verification.subjects.driving.function_calls import Call
from verification.subjects.driving.told import Adapter
from verification.subjects.driving.translation import Translation
from verification.subjects.loading import SubjectError
from verification.subjects.probing.probed import KEPT
from verification.subjects.resolve import DECLARED

SCHEMA = Path(__file__).parents[2] / "cases/case.schema.json"

FLOATS = (0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 0.1, 1.7976931348623157e308, 2.0**53)

CASE = Case(
    SubjectSpec("scratch_layers.ReLU"),
    LayerCall.of("ReLU"),
    (
        TensorSpec("input", Role.INPUT, (len(FLOATS),), Values(stored=FLOATS)),
        TensorSpec("output", Role.COTANGENT, None, Values("dense", 7), "strided"),
    ),
    "gradients_match_reference",
)


def text_of(case: Case = CASE, **changes: object) -> str:
    return json.dumps(CaseFile(case, None, {"torch": "2.13.0"}).to_dict() | changes)


def changed(*path: object, to: object) -> str:
    """The text of CASE with one field replaced."""
    data = json.loads(text_of())
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return json.dumps(data)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=200)
def test_every_drawn_case_survives(data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(list(catalogue.SHIPPED.values())))
    fitting = [p for p in PROPERTIES.values() if not p.missing(entry)]
    prop = data.draw(st.sampled_from(fitting))
    case = data.draw(prop.cases(entry, prop.name, "cpu", "float32"))
    back = parse(text_of(case)).case
    # repr, because nan is not equal to itself
    assert repr(back) == repr(case)


def test_every_float_survives() -> None:
    stored = parse(text_of()).case.tensors[0].values.stored
    assert stored is not None
    assert list(map(repr, stored)) == list(map(repr, FLOATS))


def test_what_is_found_survives() -> None:
    found = {"kind": "value", "tensor": "output", "sentence": "wrong", "got": math.nan}
    file = parse(json.dumps(CaseFile(CASE, found, {"commit": None}).to_dict()))
    assert repr(file.discrepancy) == repr(found)
    assert file.provenance == {"commit": None}


def test_the_same_case_is_the_same_file(tmp_path: Path) -> None:
    first = CaseFile(CASE, None, {"python": "3.11"}).write(tmp_path)
    second = CaseFile(case_from_json(case_to_json(CASE)), None, {"python": "3.14"}).write(tmp_path)
    assert first == second
    assert read(first).provenance == {"python": "3.14"}


def test_what_is_no_scalar_is_not_written() -> None:
    with pytest.raises(TypeError, match=r"a Case holds .* a set"):
        case_to_json(Case(CASE.subject, LayerCall.of("ReLU", inplace={1}), (), "p"))


BAD_FILES = {
    "empty": ("", "is empty"),
    "blank": (" \n", "is empty"),
    "cut off": (text_of()[:200], "cut off"),
    "no object": ("[]", r"the file: \[\] is not of type 'object'"),
    "no version": (json.dumps({"case": 1}), "schema is None, this version reads 1"),
    "other version": (text_of(schema=2), "schema is 2, this version reads 1"),
    "unknown field": (text_of(pickle="gASV"), "'pickle' was unexpected"),
    "unknown case field": (changed("case", "code", to="1"), "the file.case: .*'code'"),
    "missing field": (changed("case", to={}), "the file.case: 'subject' is a required property"),
    "unknown dtype": (changed("case", "dtype", to="int3"), "the file.case.dtype: 'int3'"),
    "unknown role": (changed("case", "tensors", 0, "role", to="bias"), "role: 'bias'"),
    "negative size": (changed("case", "tensors", 0, "shape", to=[-1]), "-1 is less than"),
    "size as text": (changed("case", "tensors", 0, "shape", to="9"), "shape: '9'"),
    "too few values": (changed("case", "tensors", 0, "shape", to=[2]), "stores 9 values"),
    "NaN as such": (text_of().replace('{"float": "nan"}', "NaN"), "NaN is no JSON number"),
    "too large a number": (text_of().replace("0.1", "1e999"), "1e999 is beyond every float"),
    "too deep": ("[" * 100_000, "nested too deeply"),
    "too large": (
        changed("case", "tensors", 1, "shape", to=[LARGEST_CASE, 2]),
        f"tensor 'output' of shape .* beyond {LARGEST_CASE} elements",
    ),
}


@pytest.mark.parametrize(("text", "says"), BAD_FILES.values(), ids=BAD_FILES)
def test_refused_by_name(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.case.json"
    path.write_text(text)
    with pytest.raises(CaseFileError, match=says) as refused:
        read(path)
    assert str(refused.value).startswith(f"case file {path}")


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(CaseFileError, match="No such file"):
        read(tmp_path / "none.case.json")
    (tmp_path / "bytes.case.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CaseFileError, match="not UTF-8"):
        read(tmp_path / "bytes.case.json")


UNKNOWN = {
    "layer": (changed("case", "layer", "name", to="Module"), "unknown layer 'Module'"),
    "property": (changed("case", "property", to="p"), "unknown property 'p': .*gradients_m"),
    "layout": (changed("case", "tensors", 0, "layout", to="l"), "unknown layout 'l'"),
    "family": (
        changed("case", "tensors", 1, "values", "family", to="f"),
        "unknown value family 'f'",
    ),
    "tensor's dtype": (
        changed("case", "tensors", 0, "dtype", to="nn"),
        "unknown dtype 'nn' of tensor 'input'",
    ),
    "device": (changed("case", "device", to="warp"), "unknown device 'warp'"),
    "no such output": (
        changed("case", "tensors", 1, "name", to="left"),
        "cannot be made real: KeyError: 'left'",
    ),
}


@pytest.mark.parametrize(("text", "says"), UNKNOWN.values(), ids=UNKNOWN)
def test_not_replayed(text: str, says: str) -> None:
    with pytest.raises(CaseFileError, match=says):
        replay(parse(text))


FOREIGN = {
    "unknown": (("ReLU6", None), "unknown subject 'ReLU6'; the catalogue has"),
    "not allowed": (("antigravity:fly", "ReLU"), "--allow-layer antigravity:fly"),
    "no kind": (("antigravity:fly", None), "unknown subject"),
}


@pytest.mark.parametrize(("subject", "says"), FOREIGN.values(), ids=FOREIGN)
def test_code_outside_the_catalogue_is_not_run(subject: tuple[str, str | None], says: str) -> None:
    name, like = subject
    text = changed(
        "case", "subject", to={"name": name, "like": like, "digest": None, "waivers": []}
    )
    with pytest.raises(SubjectError, match=says):
        replay(parse(text))


FUNCTION = SubjectSpec("mine.py:f", inputs=(("x", "n"),))


def test_the_schema_knows_all_that_is_kept_of_a_probing() -> None:
    schema = json.loads(SCHEMA.read_text())
    names = {*schema["$defs"]["found"]["properties"]}
    call = Call({}, {}, ("kind",), "options", ("positional",))
    everything = Translation(True, {"weight": (1, 0)})
    driver = Driver(ROWS["ReLU"], ReLU, ("weight",), Adapter(), call, everything, still=True)
    assert names >= {*KEPT, *dict(driver.way)}


ELSEWHERE = {
    "a domain": replace(CASE.tensors[0], domain="code.py:draw(n=9)"),
    "a domain in a line": replace(FUNCTION, inputs=(("x", "n code.py:draw"),)),
    "against": SubjectSpec("mine.py:f", "ReLU", adapter=(("against", "code.py:draw"),)),
    **{name: replace(FUNCTION, declared=((name, "code.py:draw"),)) for name in DECLARED},
}


@pytest.mark.parametrize("named", ELSEWHERE.values(), ids=ELSEWHERE)
def test_code_that_is_named_elsewhere_is_not_run(
    named: TensorSpec | SubjectSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a layer is allowed says nothing of what else a file names."""
    monkeypatch.chdir(tmp_path)
    for file in ("code.py", "mine.py"):
        Path(file).write_text(f"open('{file} ran', 'w')")
    drawn = isinstance(named, TensorSpec)
    case = CASE.with_tensor(named) if drawn else replace(CASE, subject=named)
    with pytest.raises(SubjectError, match=r"with --allow-layer code\.py:draw$"):
        replay(parse(text_of(case)), ["mine.py:f"])
    assert not list(tmp_path.glob("* ran"))
    assert "--verify-allow-layer code.py:draw" in replay_command(case, "x")


def test_damaged_files_are_refused_or_read() -> None:
    """Flipped bits, cuts and swapped parts: an error of ours, or a case; nothing else."""
    chance = random.Random(0)
    whole = text_of().encode()
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            parse(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])].decode())
        except (CaseFileError, UnicodeDecodeError):
            refused += 1
    assert 0 < refused < 300
