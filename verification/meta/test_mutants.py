"""The mutants themselves: what is changed, that the suite kills one, and that every argument for a
survivor is still about a line that is there.
"""

import ast

from verification.meta.mutants.changes import mutants, mutated
from verification.meta.mutants.children import ROOT, run
from verification.meta.mutants.survivors import Score, read_argued

SOURCE = '''
def f(x: int = 2) -> int:
    """Half of 2."""
    if not x or x < 0:
        raise ValueError(f"{x + 1} is 1 too many")
    log(x)
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
    "left out: log(x)",
    "(x - 1) // 2 -> (x - 1) * 2",
    "x - 1 -> x + 1",
    "2 -> 3",
    "2 -> 1",
    "1 -> 2",
    "1 -> 0",
]
"""Of the source above: no type, no docstring, no message."""


def test_every_place_is_changed_once():
    found = mutants("f.py", SOURCE)
    assert sorted(mutant.change for mutant in found) == sorted(CHANGES)
    assert len({mutant.key for mutant in found}) == len(found)
    changed = {ast.unparse(mutated(SOURCE, mutant.site)) for mutant in found}
    assert len(changed | {ast.unparse(ast.parse(SOURCE))}) == len(found) + 1


def test_the_suite_kills_a_mutant_in_a_child_process():
    file = "scratch_layers/losses.py"
    every = mutants(file, (ROOT / file).read_text(encoding="utf-8"))
    mutant = next(m for m in every if m.change.startswith("x.numel() / 2 ->"))
    (verdict,) = run([mutant], 1)
    assert (verdict.outcome, verdict.by.split()[0]) == ("killed", "MSELoss")


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
    score = Score.of("f.py", {first: {"outcome": "survived"}, second: {"outcome": "survived"}})
    assert (score.unexplained, score.equivalent, score.killed) == ((first,), (second,), ())
