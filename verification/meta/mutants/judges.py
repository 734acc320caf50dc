"""What judges a mutant: the campaigns of the layers that use its file. Imported in the child
process alone, once the mutant is in its place.
"""

from __future__ import annotations

import ast
import functools
import inspect
from pathlib import Path

import scratch_layers
from verification import catalogue
from verification.meta.harness import first_failure
from verification.properties import applicable
from verification.running.selection import DTYPES
from verification.running.simulated import hunt_here

ROUNDS = (10, 100)
"""Examples of every campaign: few at first, since most mutants fall at once, then those of `ci`."""


def judge(file: Path) -> str | None:
    """What the suite says of a file that may be a mutant; None if all is well."""
    return judge_layers(file)


def judge_layers(file: Path) -> str | None:
    """What the suite says of the shipped layers that use this file; None if all is well."""
    entries = [
        entry for entry in catalogue.SHIPPED.values() if file.stem in _used(_home(entry.row.name))
    ]
    campaigns = [
        (entry, prop, dtype) for dtype in DTYPES for entry in entries for prop in applicable(entry)
    ]
    for examples in ROUNDS:
        for entry, prop, dtype in campaigns:
            if first_failure(entry, prop.name, dtype=dtype, examples=examples):
                return f"{entry.row.name} {prop.name} {dtype}"
    failures = hunt_here([entry.name for entry in entries], examples=3)
    return f"simulated device: {next(iter(failures))}" if failures else None


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
