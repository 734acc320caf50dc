"""What judges a mutant: the suite itself, and no unit test. Imported in the child process alone,
once the mutant is in its place.

A file of scratch_layers/ is judged by the campaigns of the layers that use it. A file of gradcheck/
is killed when a right layer alarms, or when a fault is missed that only a derivative shows.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import scratch_layers
from verification import catalogue
from verification.meta.faults import FAULTS
from verification.meta.functions import BANK
from verification.meta.harness import first_failure
from verification.meta.right import RIGHT
from verification.properties import PROPERTIES, Property, applicable
from verification.running.selection import DTYPES
from verification.running.simulated import hunt_here
from verification.subjects.entry import Entry

FEW, MANY = ROUNDS = (10, 100)
"""Examples of every campaign: few at first, since most mutants fall at once, then those of `ci`."""

DERIVATIVES = "gradients_match_finite_differences"

LONGEST = 120
"""Seconds of a campaign; the slowest takes 5 on a quiet machine. No suite that hangs is green."""


def judge(file: Path) -> str | None:
    """What the suite says of a file that may be a mutant; None if all is well.

    A campaign that never ends is ended by a signal, and the process with it.
    """
    return _judge_derivatives() if file.parent.name == "gradcheck" else _judge_layers(file)


def _judge_layers(file: Path) -> str | None:
    entries = list(_judges(file))
    for examples in ROUNDS:
        for entry, prop, dtype in _campaigns(entries):
            signal.alarm(LONGEST)
            if first_failure(entry, prop.name, dtype=dtype, examples=examples):
                return f"{entry.row.name} {prop.name} {dtype}"
    shipped = [entry.name for entry in entries if entry.name in catalogue.SHIPPED]
    signal.alarm(LONGEST * len(shipped))
    failures = hunt_here(shipped, examples=3)
    return f"simulated device: {next(iter(failures))}" if failures else None


def _judge_derivatives() -> str | None:
    """Right and wrong layers, then the bank of functions, of every kind that gradcheck takes."""
    wrong = [fault for fault in FAULTS.values() if DERIVATIVES in fault.caught_by]
    right = [e for e in catalogue.SHIPPED.values() if not PROPERTIES[DERIVATIVES].missing(e)]
    for fault in wrong:
        signal.alarm(LONGEST)
        if first_failure(fault.entry, DERIVATIVES) is None:
            return f"missed {fault.name}"
    for examples in ROUNDS:
        for entry, dtype in itertools.product(right, DTYPES):
            signal.alarm(LONGEST)
            if first_failure(entry, DERIVATIVES, dtype=dtype, examples=examples):
                return f"false alarm on {entry.row.name} {dtype}"
    for judged in BANK:
        signal.alarm(LONGEST)
        found = next(judged.failures(FEW if judged.right else MANY, judged.caught_by), None)
        if (found is None) != judged.right:
            return f"{'missed' if found is None else 'false alarm on'} {judged.name}"
    return None


def _judges(file: Path) -> Iterator[Entry]:
    """The layers that use a file of scratch_layers/; all of them for its index."""
    if file.stem in ("loops", "__init__"):
        yield RIGHT["right.ByLoops"]
    for entry in catalogue.SHIPPED.values():
        if file.stem == "__init__" or file.stem in _used(_home(entry.row.name)):
            yield entry


def _campaigns(entries: list[Entry]) -> Iterator[tuple[Entry, Property, str]]:
    for dtype in DTYPES:
        for entry in entries:
            for prop in applicable(entry):
                yield entry, prop, dtype


def _home(kind: str) -> str:
    """The file of a shipped layer; a layer in chunks is in that of the whole one."""
    layer = getattr(scratch_layers, kind.removesuffix("InChunks"))
    return Path(inspect.getfile(layer)).stem


@functools.cache
def _used(name: str) -> frozenset[str]:
    """A file of scratch_layers, and every other one of them that it imports, at any remove."""
    source = Path(scratch_layers.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    found = {name}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scratch_layers."):
            found |= _used(str(node.module).rpartition(".")[2])
    return frozenset(found)
