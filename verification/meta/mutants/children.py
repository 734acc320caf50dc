"""One child process for each mutant, a fork of one that has imported the project as it is: it puts
the mutant in its place, asks, and says what came of it. A mutant that loops, exits or breaks the
interpreter takes only its child along.
"""

from __future__ import annotations

import itertools
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from verification.meta.mutants.changes import Mutant
from verification.meta.mutants.placing import FORK, JUDGES, Imported, Place, be_alone, put
from verification.meta.mutants.reach import Reach, Store

LONGEST = 10
"""Times that a question may take of what it took before, and seconds beside: no suite that hangs is
green.
"""


FIRST = 30
"""Seconds of processor time that the first questions may take together, as they took before."""

LEFT = "left"
"""What became of a mutant that outlived the first questions, and whose last ones are to come."""


class Verdict(NamedTuple):
    """What became of a mutant: "killed", "left" or "survived"; what did it; the seconds."""

    mutant: Mutant
    outcome: str
    by: str
    seconds: float


@dataclass
class _Child:
    mutant: Mutant
    again: bool
    asked: Mapping[str, Reach]
    process: BaseProcess
    answer: Connection
    started: float

    def verdict(self) -> Verdict | None:
        """The verdict if there is one by now."""
        if not self.answer.poll():
            return None
        try:
            by: str | None = self.answer.recv()
        except EOFError:
            self.process.join()
            by = f"the process ended with {self.process.exitcode}"
        self.process.join()
        self.answer.close()
        seconds = round(time.monotonic() - self.started, 2)
        alive = "survived" if self.again else LEFT
        return Verdict(self.mutant, alive if by is None else "killed", by or "", seconds)


def run(
    mutants: Sequence[tuple[Mutant, bool]], jobs: int, imported: Imported, store: Store
) -> Iterator[Verdict]:
    """The verdict of every mutant as it comes, at most `jobs` at a time; beside each is whether it
    has outlived the first questions.

    Only questions that run the mutated line are asked, the fastest first; what killed a mutant is
    asked first of the next one, which is most often its neighbour. At the end all are asked of what
    is left, those with many examples among them.
    """
    waiting, running, killers = list(mutants), list[_Child](), list[str]()
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(_start(*waiting.pop(0), imported, store, killers))
        wait([child.answer for child in running])
        for child in list(running):
            verdict = child.verdict()
            if verdict is not None:
                running.remove(child)
                if verdict.outcome == LEFT:
                    waiting.append((verdict.mutant, True))
                if verdict.by in child.asked:
                    killers = [verdict.by, *(name for name in killers if name != verdict.by)]
                yield verdict


def _start(
    mutant: Mutant, again: bool, imported: Imported, store: Store, killers: Sequence[str]
) -> _Child:
    place = imported.place_of(mutant)
    asked = store.reaching(mutant, place.everywhere, again)
    late = len(killers)
    order = sorted(
        asked, key=lambda n: (killers.index(n) if n in killers else late, asked[n].seconds)
    )
    receiver, sender = FORK.Pipe(duplex=False)
    if not again:
        spent = itertools.accumulate(asked[name].seconds for name in order)
        order = [name for name, seconds in zip(order, spent, strict=True) if seconds <= FIRST]
    ordered = {name: asked[name] for name in order}
    process = FORK.Process(target=_judge, args=(mutant, place, ordered, sender))
    process.start()
    # Only the child may hold this end, or its death would not be seen.
    sender.close()
    return _Child(mutant, again, asked, process, receiver, time.monotonic())


def _judge(mutant: Mutant, place: Place, asked: Mapping[str, Reach], answer: Connection) -> None:
    """Runs in the child."""
    be_alone()
    by = None
    try:
        put(mutant, place.exchange)
        questions = sys.modules[JUDGES].questions()
        for name, before in asked.items():
            # Processor time: on a busy machine no right answer is late.
            signal.setitimer(signal.ITIMER_PROF, LONGEST * (1 + before.seconds))
            if questions[name].wrong():
                by = name
                break
    except BaseException as error:
        by = f"{type(error).__name__}: {error}"
    answer.send(by)
    answer.close()
