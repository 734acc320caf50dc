"""The files as they are before the judges: that nobody speaks, and which lines each question runs.

Draws are the same in every run, so a question that does not run the mutated line gets the answer it
got before.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Collection, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from verification.meta.mutants.changes import Mutant
from verification.meta.mutants.placing import (
    FORK,
    JUDGES,
    PROJECT,
    ROOT,
    be_alone,
    mutated_files,
)


class Reach(NamedTuple):
    """Of one question: whether it speaks, its seconds of processor time, the lines by file."""

    wrong: bool
    seconds: float
    lines: dict[str, list[int]]

    def meets(self, mutant: Mutant) -> bool:
        """Whether a line runs that could show the mutant."""
        return any(line in mutant.reach for line in self.lines.get(mutant.file, ()))


class DoesNotPass(Exception):
    """The files as they are do not pass; nothing can be said of their mutants."""


class Store:
    """The reach of every question that was needed so far, kept in a file of JSON lines as long as
    no source of the project changes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = _digest()
        self._known: dict[str, Reach] = {}
        rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for row in map(json.loads, rows):
            if row["digest"] == self._digest:
                self._known[row["question"]] = Reach(*row["reach"])

    def reaching(self, mutant: Mutant, everywhere: bool, again: bool) -> dict[str, Reach]:
        """The questions that could show a mutant; `again`, the late ones among them.

        Raises:
            DoesNotPass: one of them speaks against the files as they are.
        """
        room = mutant.file.partition("/")[0]
        every = sys.modules[JUDGES].questions().values()
        asked = [question for question in every if room in question.rooms]
        found = self._of([question.name for question in asked if not question.after])
        if again:
            touching = {n for n, reach in found.items() if everywhere or mutant.file in reach.lines}
            late = [q.name for q in every if room in q.late or (q in asked and q.after in touching)]
            found = found | self._of(late)
        return {n: reach for n, reach in found.items() if everywhere or reach.meets(mutant)}

    def _of(self, names: Collection[str]) -> dict[str, Reach]:
        missing = [name for name in names if name not in self._known]
        with self._path.open("a", encoding="utf-8") as out:
            for name, reach in _as_it_is(missing) if missing else ():
                if reach.wrong:
                    raise DoesNotPass(f"{name} speaks against the files as they are")
                self._known[name] = reach
                row = {"digest": self._digest, "question": name, "reach": reach}
                out.write(json.dumps(row) + "\n")
        return {name: self._known[name] for name in names}


def _digest() -> str:
    found = hashlib.sha256()
    for room in PROJECT:
        for path in sorted((ROOT / room).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def _as_it_is(names: Collection[str]) -> Iterator[tuple[str, Reach]]:
    """Ask these questions in a child process, so that this one stays as it is."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_measure, args=(names, sender), daemon=True)
    process.start()
    sender.close()
    for _ in names:
        try:
            yield receiver.recv()
        except EOFError:
            process.join()
            raise DoesNotPass(f"the process ended with {process.exitcode}") from None
    process.join()


def _measure(names: Collection[str], answer: Connection) -> None:
    """Runs in the child."""
    be_alone()
    questions = sys.modules[JUDGES].questions()
    for name in names:
        lines: dict[str, set[int]] = {}
        started = time.process_time()
        sys.settrace(_tracer(lines))
        try:
            wrong = questions[name].wrong()
        finally:
            sys.settrace(None)
        seconds = round(time.process_time() - started, 3)
        answer.send((name, Reach(wrong, seconds, {f: sorted(n) for f, n in lines.items()})))


def _tracer(lines: dict[str, set[int]]) -> Any:
    """What sys.settrace takes: it notes the lines of files that are mutated."""
    names = {str(ROOT / file): file for file in mutated_files()}

    def of_calls(frame: FrameType, event: str, argument: object) -> Any:
        name = names.get(frame.f_code.co_filename)
        if name is None:
            return None
        note = lines.setdefault(name, set()).add

        def of_lines(frame: FrameType, event: str, argument: object) -> Any:
            note(frame.f_lineno)
            return of_lines

        return of_lines

    return of_calls
