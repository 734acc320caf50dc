"""One child process for each mutant: it puts the mutant in its place, judges, and says what came of
it. A mutant that loops, exits or breaks the interpreter takes only its child along.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.util
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

from verification.meta.mutants.changes import Mutant, mutated

ROOT = Path(__file__).parents[3]

PROJECT = ("scratch_layers", "gradcheck", "verification")

MEMORY = 8 << 30
"""Bytes of address space of a child; torch alone maps 1 GiB."""

_FORK = get_context("fork")
"""A fork has torch and Hypothesis already, and nothing of the project."""


class Verdict(NamedTuple):
    """What became of a mutant: "killed" or "survived", what did it, the seconds."""

    mutant: Mutant
    outcome: str
    by: str
    seconds: float


@dataclass
class _Child:
    mutant: Mutant
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
        return Verdict(self.mutant, "survived" if by is None else "killed", by or "", seconds)


def run(mutants: Sequence[Mutant], jobs: int) -> Iterator[Verdict]:
    """The verdict of every mutant as it comes, at most `jobs` at a time."""
    waiting, running = list(mutants), list[_Child]()
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(_start(waiting.pop(0)))
        wait([child.answer for child in running])
        for child in list(running):
            verdict = child.verdict()
            if verdict is not None:
                running.remove(child)
                yield verdict


def _start(mutant: Mutant) -> _Child:
    receiver, sender = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_judge, args=(mutant, sender))
    process.start()
    # Only the child may hold this end, or its death would not be seen.
    sender.close()
    return _Child(mutant, process, receiver, time.monotonic())


def _judge(mutant: Mutant, answer: Connection) -> None:
    """Runs in the child."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    # A mutant that asks for all memory must not take others along.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    path = ROOT / mutant.file
    module = mutant.file.removesuffix(".py").replace("/", ".")
    tree = mutated(path.read_text(encoding="utf-8"), mutant.site)
    # Whoever runs the mutants may have imported the right file already, as pytest does.
    for name in [name for name in sys.modules if name.partition(".")[0] in PROJECT]:
        del sys.modules[name]
    if mutant.site is not None:
        sys.meta_path.insert(0, _Instead(module, path, tree))
    try:
        from verification.meta.mutants import judges

        by = judges.judge(path)
    except BaseException as error:
        by = f"{type(error).__name__}: {error}"
    answer.send(by)
    answer.close()


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module the mutant's code."""

    def __init__(self, module: str, path: Path, tree: ast.Module) -> None:
        self.module, self.path = module, path
        self.code: CodeType = compile(tree, str(path), "exec")

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, vars(module))
