"""The mutants themselves: what is changed, that the suite kills one, and that every argument for a
survivor is still about a line that is there.
"""

import ast
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from verification.meta.mutants.changes import mutants, mutated
from verification.meta.mutants.children import run
from verification.meta.mutants.placing import JUDGES, ROOT, Imported
from verification.meta.mutants.reach import Store
from verification.meta.mutants.survivors import Score, estimate, read_argued

SOURCE = '''
def f(x: int = 2) -> int:
    """Half of 2."""
    if not x or x < 0:
        raise ValueError(f"{x + 1} is 1 too many")
    log(x, (x, x))
    return (x - 1) // 2
'''

CHANGES = [
    "2 -> 3",
    "2 -> 1",
    "not x or x < 0 -> not x and x < 0",
    "the other way: not x or x < 0",
    "not x -> x",
    "x < 0 -> x <= 0",
    "0 -> 1",
    "0 -> -1",
    "left out: log(x, (x, x))",
    "(x - 1) // 2 -> (x - 1) * 2",
    "x - 1 -> x + 1",
    "2 -> 3",
    "2 -> 1",
    "1 -> 2",
    "1 -> 0",
]
"""Of the source above: no type, no docstring, no message, no pair of two alike."""


def test_every_place_is_changed_once():
    found = mutants("f.py", SOURCE)
    assert sorted(mutant.change for mutant in found) == sorted(CHANGES)
    assert len({mutant.key for mutant in found}) == len(found)
    changed = {ast.unparse(mutated(SOURCE, mutant.site)) for mutant in found}
    assert len(changed | {ast.unparse(ast.parse(SOURCE))}) == len(found) + 1


@pytest.mark.parametrize("source", ["if TYPE_CHECKING: n = 3", "try: f\nexcept (A, B): g"])
def test_what_has_no_behaviour_stays(source):
    assert mutants("f.py", source) == []


def _lines(source: str, change: str) -> set[str]:
    found = [mutant for mutant in mutants("f.py", source) if mutant.change == change]
    return {source.splitlines()[line - 1].strip() for mutant in found for line in mutant.reach}


def test_a_mutant_is_reached_by_the_lines_of_its_statement():
    assert _lines(SOURCE, "x < 0 -> x <= 0") == {"if not x or x < 0:"}
    assert _lines(SOURCE, "x - 1 -> x + 1") == {"return (x - 1) // 2"}
    # A default counts wherever the function runs, a constant of the module without any line.
    assert "log(x)" in _lines("def f(x=4):\n    log(x)", "4 -> 5")
    assert _lines("LIMIT = 4", "4 -> 5") == set()


IN_PLACE, ANEW = "x.numel() / 2 -> x.numel() * 2", "0.0 -> 1.0"
"""Of a function's body, whose code is exchanged; of a default, for which all is imported anew."""


def _judged(store: Path) -> list[tuple[bool, str, str]]:
    """Of the two: whether code is exchanged, what came of it, by whom. Runs in a process that has
    not imported the project, and asks two layers only.
    """
    imported = Imported()
    judges = sys.modules[JUDGES]
    few = {n: q for n, q in judges.questions().items() if "MSELoss" in n or "SGD" in n}
    judges.questions = lambda: few
    found = []
    for file, change in (("losses", IN_PLACE), ("optimizers", ANEW)):
        path = f"scratch_layers/{file}.py"
        every = mutants(path, (ROOT / path).read_text(encoding="utf-8"))
        mutant = next(mutant for mutant in every if mutant.change == change)
        (verdict,) = run([(mutant, False)], 1, imported, Store(store))
        exchanged = imported.place_of(mutant).exchange is not None
        found.append((exchanged, verdict.outcome, verdict.by.partition(" ")[0]))
    return found


def test_the_suite_kills_a_mutant_in_a_child_process(tmp_path):
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        in_place, anew = fresh.submit(_judged, tmp_path / "reach.jsonl").result()
    assert in_place == (True, "killed", "scratch_layers.MSELoss")
    assert anew == (False, "killed", "scratch_layers.SGD")


def test_arguments_are_about_mutants_that_are_there():
    argued = read_argued()
    files = sorted({file for file, _, _ in argued})
    there = {
        mutant.key
        for file in files
        for mutant in mutants(file, (ROOT / file).read_text(encoding="utf-8"))
    }
    assert argued.keys() - there == set()


def test_a_survivor_counts_until_it_is_explained(monkeypatch):
    first, second = mutants("f.py", SOURCE)[:2]
    monkeypatch.setattr(
        "verification.meta.mutants.survivors.read_argued", lambda: {second.key: "equivalent"}
    )
    score = Score.of("f.py", dict.fromkeys((first, second), "survived"))
    assert (score.unexplained, score.equivalent, score.killed) == ((first,), (second,), ())


def test_a_sample_tells_of_all():
    some = mutants("f.py", SOURCE)
    scores = [Score("a", (some[0],), (), ()), Score("b", (some[1],), (some[2],), (some[3],))]
    share, half = estimate(scores, {"a": 1, "b": 30})
    # All of one mutant; of 30, a third is equivalent, and half of the rest is killed.
    assert share == pytest.approx((1 + 20 / 2) / 21)
    assert half == pytest.approx(1.96 * 20 / 21 * (share * (1 - share) * 0.9 / 2) ** 0.5)
    assert estimate(scores[:1], {"a": 1}) == (1.0, 0.0)
