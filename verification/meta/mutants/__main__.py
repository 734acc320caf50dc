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
from pathlib import Path

# Before the first fork, so that no child has to import them.
import hypothesis  # noqa: F401
import torch
from rich.console import Console
from rich.progress import Progress

from verification.meta.mutants.changes import Mutant, mutants
from verification.meta.mutants.children import Verdict, run
from verification.meta.mutants.placing import ROOMS, ROOT, Imported
from verification.meta.mutants.reach import DoesNotPass, Store
from verification.meta.mutants.survivors import Score, table

ENOUGH = 0.99
"""Of the mutants that nobody argues to be equivalent, so many must be killed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not known yet, and show the score of every file."""
    options = _options(arguments)
    torch.set_num_threads(1)
    console = Console()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    files = options.files or _every_file()
    judging = Imported(), Store(options.results.with_suffix(".reach.jsonl"))
    try:
        with Progress(console=console) as progress:
            scores = [Score.of(f, _verdicts(f, options, progress, *judging)) for f in files]
    except DoesNotPass as error:
        console.print(f"{error}: nothing can be said of its mutants")
        return 2
    console.print(table(scores))
    for mutant in (mutant for score in scores for mutant in score.unexplained):
        print(f"survived: {mutant.file}:{mutant.number}: {mutant.line}\n    {mutant.change}")
    judged = sum(len(score.killed) + len(score.unexplained) for score in scores)
    killed = sum(len(score.killed) for score in scores)
    console.print(f"{killed} of {judged} mutants killed that are not argued equivalent")
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
    files = (path for room in ROOMS for path in sorted((ROOT / room).glob("*.py")))
    return [str(path.relative_to(ROOT)) for path in files if path.name != "__init__.py"]


def _verdicts(
    file: str,
    options: argparse.Namespace,
    progress: Progress,
    imported: Imported,
    store: Store,
) -> dict[Mutant, dict[str, str]]:
    """The outcome of every mutant of a file."""
    source = (ROOT / file).read_text(encoding="utf-8")
    digest = hashlib.sha256(source.encode()).hexdigest()
    every = mutants(file, source)
    if options.sample is not None and options.sample < len(every):
        chosen = random.Random(0).sample(every, options.sample)
        every = [mutant for mutant in every if mutant in chosen]
    known = _known(options.results, file, digest)
    waiting = [mutant for mutant in every if mutant.key not in known]
    task = progress.add_task(file, total=len(every), completed=len(every) - len(waiting))
    for verdict in run(waiting, options.jobs, imported, store):
        known[verdict.mutant.key] = _keep(options.results, digest, verdict)
        progress.advance(task)
    return {mutant: known[mutant.key] for mutant in every}


def _keep(results: Path, digest: str, verdict: Verdict) -> dict[str, str]:
    """Append a verdict to the file of results."""
    file, line, change = verdict.mutant.key
    found = {"outcome": verdict.outcome, "by": verdict.by}
    row = {"file": file, "digest": digest, "line": line, "change": change, **found}
    with results.open("a", encoding="utf-8") as out:
        out.write(json.dumps({**row, "seconds": verdict.seconds}) + "\n")
    return found


def _known(results: Path, file: str, digest: str) -> dict[tuple[str, str, str], dict[str, str]]:
    """The verdicts on the mutants of this very file that an earlier run left."""
    if not results.exists():
        return {}
    rows = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return {
        (row["file"], row["line"], row["change"]): {"outcome": row["outcome"], "by": row["by"]}
        for row in rows
        if row["file"] == file and row["digest"] == digest
    }


if __name__ == "__main__":
    sys.exit(main())
