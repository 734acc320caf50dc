"""Put a mutant in its place, in a process that has imported the project as it is.

Where one function differs, its code is exchanged in the function that is there: a fork of the
process costs a few milliseconds. Where more depends on the change, a constant of a module or a
function that ran while the project was imported, everything is imported anew.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.abc
import importlib.util
import inspect
import os
import resource
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import NamedTuple

from verification.meta.mutants.changes import Mutant, mutated

ROOT = Path(__file__).parents[3]
ROOMS = ("scratch_layers", "gradcheck")
"""Folders whose files are mutated."""

PROJECT = (*ROOMS, "verification")

JUDGES = "verification.meta.mutants.judges"

FORK = get_context("fork")

MEMORY = 8 << 30
"""Bytes of address space of a child, a mutant that asks for all of it among them; torch alone maps
1 GiB.
"""


def mutated_files() -> list[str]:
    """Every source of these folders but their tests, from the project's root."""
    found = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    paths = (path.relative_to(ROOT) for path in found)
    return [str(path) for path in paths if "tests" not in path.parts]


Where = tuple[str, str, int]
"""File, qualified name and first line: what a function's code is known by."""


class Imported:
    """What importing the project left behind: its functions, and the lines of those that ran, whose
    results are there already. Where somebody else imported it, nothing is known of either.
    """

    def __init__(self) -> None:
        self.ran: set[tuple[str, int]] = set()
        files = tuple(f"{ROOT / room}/" for room in ROOMS)

        def called(frame: FrameType, event: str, argument: object) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(files):
                file = frame.f_code.co_filename
                self.ran.update((file, line) for *_, line in frame.f_code.co_lines() if line)

        self.functions: dict[Where, list[FunctionType]] = {}
        if JUDGES in sys.modules:
            return
        sys.setprofile(called)
        try:
            importlib.import_module(JUDGES)
        finally:
            sys.setprofile(None)
        for thing in gc.get_objects():
            # Of the type itself: some of torch's objects take part in isinstance in their own way.
            if type(thing) is FunctionType and thing.__code__.co_filename.startswith(files):
                self.functions.setdefault(_where(thing.__code__), []).append(thing)

    def place_of(self, mutant: Mutant) -> Place:
        """How the mutant is put in its place."""
        old, new = (_compiled(mutant.file, tree) for tree in _trees(mutant))
        file = str(ROOT / mutant.file)
        everywhere = not mutant.reach or any((file, line) in self.ran for line in mutant.reach)
        exchange: list[tuple[FunctionType, CodeType]] = []
        for before, after in _differences(old, new):
            there = self.functions.get(_where(before), [])
            if everywhere or not there or before.co_freevars != after.co_freevars:
                return Place(None, everywhere)
            exchange += [(function, after) for function in there]
        return Place(exchange, False)


class Place(NamedTuple):
    """The functions that get other code, each with it, or None where all is imported anew; and
    whether the mutant shows without its lines being run, by what was computed in an import.
    """

    exchange: list[tuple[FunctionType, CodeType]] | None
    everywhere: bool


def put(mutant: Mutant, exchange: list[tuple[FunctionType, CodeType]] | None) -> None:
    """Exchange these functions' code, or import everything anew with the mutant among it."""
    if exchange is not None:
        for function, code in exchange:
            function.__code__ = code
        return
    forget()
    _, tree = _trees(mutant)
    sys.meta_path.insert(0, _Instead(mutant.file, _compiled(mutant.file, tree)))
    importlib.import_module(JUDGES)


def be_alone() -> None:
    """What a child process does first: be quiet, and leave memory to others."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def forget() -> None:
    """Let nothing of the project be imported, but for the mutants themselves."""
    own = __name__.rpartition(".")[0]
    for name in list(sys.modules):
        if name.partition(".")[0] in PROJECT and (name == JUDGES or not name.startswith(own)):
            del sys.modules[name]


def _trees(mutant: Mutant) -> tuple[ast.Module, ast.Module]:
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    return ast.parse(source), mutated(source, mutant.site)


def _compiled(file: str, tree: ast.Module) -> CodeType:
    code: CodeType = compile(tree, str(ROOT / file), "exec")
    return code


def _where(code: CodeType) -> Where:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _differences(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """The outermost functions that differ; a module or class where its own body does."""
    if old == new:
        return
    if old.co_flags & inspect.CO_NEWLOCALS or _without_inner(old) != _without_inner(new):
        yield old, new
        return
    for before, after in zip(_inner(old), _inner(new), strict=True):
        yield from _differences(before, after)


def _inner(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _without_inner(code: CodeType) -> CodeType:
    rest = (None if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_consts=tuple(rest))


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module the mutant's code."""

    def __init__(self, file: str, code: CodeType) -> None:
        self.module = file.removesuffix(".py").replace("/", ".")
        self.path, self.code = ROOT / file, code

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, vars(module))
