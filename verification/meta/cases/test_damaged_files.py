"""Two thousand damaged case files: each is refused in a sentence or replayed, and runs no code."""

import copy
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from verification.cases import SubjectSpec
from verification.cases.case_file import CaseFile, CaseFileError, parse
from verification.cases.size import largest_tensor
from verification.running.replay import replay
from verification.subjects.loading import SubjectError
from verification.subjects.probing.trying import sample
from verification.subjects.resolve import foreign
from verification.trials.discrepancy import Discrepancy

FILES = sorted((Path(__file__).parents[2] / "regressions").glob("*.case.json"))

COUNT = 2_000

SECONDS = 10
"""What one file may take on a machine that is busy; the usual one takes milliseconds."""

FORBIDDEN = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "socket.")
FORBIDDEN += ("pickle.find_class", "os.remove", "os.rename", "shutil.")
"""Audit events of what no case file may bring about, by their beginnings."""

VALUES = (
    *(None, True, -1, 0, 1e308, 2**31, 2**63, "", "x", "os.system", [], {}, [[]], {"float": "nan"}),
    *([2**20, 2**20, 2**20, 2**20], {"float": "inf"}, "same", "\ud800", "../../etc/passwd"),
)


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key inside a JSON value."""
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in list(keys):
        yield data, key
        yield from places(data[key])


def damaged(text: str, chance: random.Random) -> bytes:
    """The text with some bits flipped, an end cut off, or fields replaced, swapped, lost."""
    content = bytearray(text.encode())
    kind = chance.choice(("bits", "cut", "replaced", "swapped", "lost", "digits"))
    if kind == "bits":
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        return bytes(content)
    if kind == "cut":
        return bytes(content[: chance.randrange(len(content))])
    if kind == "digits":
        digits = [at for at, byte in enumerate(content) if chr(byte).isdigit()]
        at = chance.choice(digits)
        return bytes(content[:at]) + b"9" * chance.randint(1, 9) + bytes(content[at:])
    data = json.loads(text)
    container, key = chance.choice(list(places(data)))
    if kind == "lost":
        del container[key]
    elif kind == "replaced":
        container[key] = copy.deepcopy(chance.choice(VALUES))
    else:
        other, place = chance.choice(list(places(data["case"])))
        container[key], other[place] = copy.deepcopy((other[place], container[key]))
    return json.dumps(data).encode()


_seen: list[str] = []
_watching = False


def _watch(event: str, _: object) -> None:
    if _watching and event.startswith(FORBIDDEN):
        _seen.append(event)


sys.addaudithook(_watch)


@pytest.fixture
def watched() -> Iterator[list[str]]:
    global _watching
    _seen.clear()
    _watching = True
    yield _seen
    _watching = False


def outcome(content: bytes, *allowed: str) -> str:
    """How a damaged file ends: refused, or with a verdict."""
    try:
        result = replay(parse(content.decode()), allowed, supervised=False).outcome
    except (CaseFileError, SubjectError, UnicodeDecodeError):
        return "refused"
    return "fails" if isinstance(result, Discrepancy) else "passes"


def test_damaged_files_are_refused_or_replayed(watched: list[str]) -> None:
    chance = random.Random(0)
    texts = [path.read_text() for path in FILES]
    ends: Counter[str] = Counter()
    for _ in range(COUNT):
        content = damaged(chance.choice(texts), chance)
        started = time.perf_counter()
        ends[outcome(content)] += 1
        assert time.perf_counter() - started < SECONDS, content
    assert ends.total() == COUNT
    assert ends["refused"] > COUNT / 2
    assert ends["passes"] > COUNT / 20
    assert watched == []
    assert torch.is_grad_enabled()


def test_damage_to_how_a_layer_is_driven(watched: list[str]) -> None:
    """It drives the layer that was allowed in another way, or in none."""
    name = "verification.meta.wild.stateful:Pairs"
    entry, _ = foreign(SubjectSpec(name, "Linear"))
    case = replace(sample(entry.row, 1)[0], subject=entry.spec)
    whole = CaseFile(case).to_dict()
    assert outcome(json.dumps(whole).encode(), name) == "passes"
    watched.clear()  # importing the layer wrote its bytecode
    chance = random.Random(0)
    ends: Counter[str] = Counter()
    for _ in range(COUNT // 10):
        data = copy.deepcopy(whole)
        container, key = chance.choice(list(places(data["case"]["subject"]["found"])))
        container[key] = copy.deepcopy(chance.choice(VALUES))
        ends[outcome(json.dumps(data).encode(), name)] += 1
    assert ends["refused"] > COUNT / 20
    assert watched == []


def test_what_is_forbidden_would_be_seen(watched: list[str], tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    (tmp_path / "x").unlink()
    assert "os.remove" in watched


def test_no_replayed_file_is_larger_than_foreseen() -> None:
    for path in FILES:
        case = parse(path.read_text()).case
        given = [spec.shape for spec in case.tensors if spec.shape is not None]
        assert 0 < largest_tensor(case) < 2**12, path
        assert all(torch.Size(shape).numel() <= largest_tensor(case) for shape in given)


HUGE = {"scale_factor": 1e6, "padding": 10**6, "in_channels": 10**9, "kernel_size": [10**5, 10**5]}


@pytest.mark.parametrize("name", HUGE)
def test_arguments_that_make_a_huge_tensor_are_refused(name: str) -> None:
    path = next(p for p in FILES if f'"{name}"' in p.read_text())
    data = json.loads(path.read_text())
    data["case"]["layer"]["arguments"][name] = HUGE[name]
    with pytest.raises(CaseFileError, match="could make a tensor of"):
        parse(json.dumps(data))
