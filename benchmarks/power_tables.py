"""The figures of power as Markdown: what docs/power.md shows.

python -m benchmarks.power_tables FILE prints all tables.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.compare import median_examples

OTHERS = ("gradcheck slow", "gradcheck fast", "one test")
"""What the same faults are put before; the names under which the figures have their verdicts."""

OF_TORCH = "torch's own kinds"
"""Their wrong twins are edits of torch's layers, told by what they do alone."""

Faults = dict[str, dict[str, Any]]


def by_kind(faults: Faults) -> Iterator[str]:
    """A line a shipped kind, and one for all kinds of torch's: faults, found in the profile ci,
    median and slowest, and what others find.
    """
    yield "| kind | faults | found by `ci` | median | slowest | gradcheck slow | fast | one test |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    groups: dict[str, list[dict[str, Any]]] = {}
    for fault in faults.values():
        groups.setdefault(fault["kind"] if fault["shown"] else OF_TORCH, []).append(fault)
    for kind, some in (*groups.items(), ("all", list(faults.values()))):
        medians = [median_examples(fault["examples"]) for fault in some]
        found = sum(fault["ci"] is not None for fault in some)
        cells = [kind, len(some), found, f"{statistics.median(medians):g}", f"{max(medians):g}"]
        yield _line(cells + [_found(some, name) for name in OTHERS])


def _found(faults: list[dict[str, Any]], other: str) -> str:
    asked = [f["others"][other] for f in faults if f["others"][other] != "not asked"]
    return f"{asked.count('found')} of {len(asked)}" if asked else "not asked"


def every_fault(faults: Faults) -> Iterator[str]:
    """A line a fault; of its examples, the median over the seeds and the most."""
    yield "| fault | shown by | seen | examples | ms | gradcheck slow | fast | one test |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, fault in faults.items():
        numbers = [n for n in fault["examples"] if n is not None]
        most = "not with every seed" if len(numbers) < len(fault["examples"]) else max(numbers)
        seconds = [s for s in fault["seconds"] if s is not None]
        took = f"{1000 * statistics.median(seconds):.0f}" if seconds else ""
        shown = f"{median_examples(fault['examples']):g}, {most}"
        name = f"{name} (hidden)" if fault["hidden"] else name
        yield _line(
            [
                name,
                fault["shown"],
                fault["seen"],
                shown,
                took,
                *(fault["others"][o] for o in OTHERS),
            ]
        )


def by_property(faults: Faults) -> Iterator[str]:
    """A line a property: the faults that it finds with every seed, and those that it alone does."""
    finds: dict[str, list[str]] = {}
    alone: dict[str, list[str]] = {}
    for name, fault in faults.items():
        killers = [p for p, seeds in fault["properties"].items() if seeds and None not in seeds]
        for killer in killers:
            finds.setdefault(killer, []).append(name)
        # One that another finds with some seed is not found by this one alone.
        some = [p for p, seeds in fault["properties"].items() if any(n is not None for n in seeds)]
        if len(some) == 1:
            alone.setdefault(some[0], []).append(name)
    yield "| property | finds | alone | such as |"
    yield "| --- | --- | --- | --- |"
    asked = {p for fault in faults.values() for p in fault["properties"]}
    for prop in sorted(asked, key=lambda p: (-len(alone.get(p, ())), -len(finds.get(p, ())), p)):
        own = alone.get(prop, [])
        yield _line([f"`{prop}`", len(finds.get(prop, ())), len(own), ", ".join(own[:2])])


def _line(cells: list[Any]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


if __name__ == "__main__":
    found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["faults"]
    for lines in (by_kind(found), every_fault(found), by_property(found)):
        print("\n".join(lines), end="\n\n")
