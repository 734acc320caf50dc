"""Run the mutants: `python -m verification.meta.mutants [FILE ...]`, the files of scratch_layers/
and gradcheck/ where none is named.

Verdicts are kept in a file of JSON lines; a run that was ended goes on where it stopped, as long as
the mutated file is the same. Exit status: 0 if at least 99 % of the mutants that nobody argues to
be equivalent are killed, 1 if fewer, 2 if the files as they are do not pass.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Before the first fork, so that no child has to import them.
import hypothesis  # noqa: F401
import torch
from rich.console import Console
from rich.progress import Progress

from verification.meta.mutants.changes import Mutant, mutants
from verification.meta.mutants.children import LEFT, Verdict, run
from verification.meta.mutants.placing import ROOT, Imported, mutated_files
from verification.meta.mutants.reach import DoesNotPass, Store
from verification.meta.mutants.survivors import Score, estimate, read_argued, table

ENOUGH = 0.99
"""Of the mutants that nobody argues to be equivalent, so many must be killed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not known yet, and show the score of every file."""
    options = _options(arguments)
    torch.set_num_threads(1)
    console = Console()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    sources = {file: _Source.read(file, options) for file in options.files or _every_file()}
    reasons = read_argued()
    imported, store = Imported(), Store(options.results.with_suffix(".reach.jsonl"))
    try:
        with Progress(console=console) as progress:
            waiting = [m for source in sources.values() for m in source.waiting()]
            # What is asked everything comes last, in this run as in the one before.
            waiting.sort(key=lambda pair: pair[1])
            task = progress.add_task("mutants", total=len(waiting))
            # What is argued to be equivalent outlives every question, which takes longest.
            for argued in (False, True):
                some = [pair for pair in waiting if (pair[0].key in reasons) is argued]
                for verdict in run(some, options.jobs, imported, store):
                    sources[verdict.mutant.file].keep(verdict, options.results)
                    progress.advance(task, verdict.outcome != LEFT)
    except DoesNotPass as error:
        console.print(f"{error}: nothing can be said of its mutants")
        return 2
    scores = [Score.of(file, source.known) for file, source in sources.items()]
    console.print(table(scores))
    for mutant in (mutant for score in scores for mutant in score.unexplained):
        print(f"survived: {mutant.file}:{mutant.number}: {mutant.line}\n    {mutant.change}")
    judged = sum(len(score.killed) + len(score.unexplained) for score in scores)
    killed = sum(len(score.killed) for score in scores)
    console.print(f"{killed} of {judged} mutants killed that are not argued equivalent")
    if judged:
        sizes = {file: source.size for file, source in sources.items()}
        share, half = estimate(scores, sizes)
        console.print(f"of all {sum(sizes.values())}: {share:.1%} ± {half:.1%} (95 %)")
    return 0 if killed >= ENOUGH * judged else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verification.meta.mutants")
    parser.add_argument("files", nargs="*", metavar="FILE", help="such as scratch_layers/losses.py")
    parser.add_argument("--jobs", type=int, default=1, help="child processes at a time")
    parser.add_argument("--sample", type=int, help="so many mutants of each file, always the same")
    parser.add_argument(
        "--results", type=Path, default=Path("reports/mutants.jsonl"), help="verdicts so far"
    )
    return parser.parse_args(arguments)


def _every_file() -> list[str]:
    return [file for file in mutated_files() if not file.endswith("__init__.py")]


@dataclass
class _Source:
    """How many mutants a file has, those that are asked for, and the outcome of those that are
    judged: of this very file, now or in an earlier run.
    """

    digest: str
    size: int
    every: Sequence[Mutant]
    known: dict[Mutant, str]

    @classmethod
    def read(cls, file: str, options: argparse.Namespace) -> _Source:
        source = (ROOT / file).read_text(encoding="utf-8")
        every = mutants(file, source)
        size = len(every)
        if options.sample is not None and options.sample < len(every):
            chosen = random.Random(0).sample(every, options.sample)
            every = [mutant for mutant in every if mutant in chosen]
        found = cls(hashlib.sha256(source.encode()).hexdigest(), size, every, {})
        results: Path = options.results
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
        by_key = {mutant.key: mutant for mutant in every}
        for row in map(json.loads, lines):
            mutant = by_key.get((row["file"], row["line"], row["change"]))
            if mutant is not None and row["digest"] == found.digest:
                found.known[mutant] = row["outcome"]
        return found

    def waiting(self) -> list[tuple[Mutant, bool]]:
        """The mutants without a last verdict, and whether the first questions are through."""
        outcomes = [(mutant, self.known.get(mutant)) for mutant in self.every]
        return [(m, outcome == LEFT) for m, outcome in outcomes if outcome in (None, LEFT)]

    def keep(self, verdict: Verdict, results: Path) -> None:
        """Append a verdict to the file of results."""
        self.known[verdict.mutant] = verdict.outcome
        file, line, change = verdict.mutant.key
        row = {"file": file, "digest": self.digest, "line": line, "change": change}
        row |= {"outcome": verdict.outcome, "by": verdict.by}
        with results.open("a", encoding="utf-8") as out:
            out.write(json.dumps({**row, "seconds": verdict.seconds}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
