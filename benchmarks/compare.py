"""Name what got worse from one JSON file to another: cells that got slower beyond the spread of
both, faults that need more than twice the examples.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

# A ratio may grow by a tenth before anyone is told.
ALLOWED = 1.1
# The number of examples to a failure scatters by itself, even as a median over ten seeds.
ALLOWED_EXAMPLES = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m benchmarks compare`."""
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)


def run(options: argparse.Namespace) -> int:
    """Print what got worse. 0: nothing; 1: something; 2: the files cannot be compared."""
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (options.old, options.new))
    if old["kind"] != new["kind"]:
        print(f"{options.old} is of kind {old['kind']}, {options.new} of kind {new['kind']}")
        return 2
    for name in sorted(old["machine"].keys() | new["machine"].keys()):
        if old["machine"].get(name) != new["machine"].get(name):
            print(f"{name} differs: {old['machine'].get(name)}; {new['machine'].get(name)}")
    return _compare_power(old, new) if old["kind"] == "power" else _compare_cells(old, new)


def _compare_cells(old: dict[str, Any], new: dict[str, Any]) -> int:
    before = {cell["name"]: cell["ratio"] for cell in old["cells"]}
    after = {cell["name"]: cell["ratio"] for cell in new["cells"]}
    _name_the_single(before, after)
    worse = [name for name in before if name in after and got_worse(before[name], after[name])]
    for name in worse:
        print(f"{name}: {before[name]['median']:.2f} -> {after[name]['median']:.2f}")
    print(f"{len(worse)} of {len(before.keys() & after.keys())} cells got worse")
    return 1 if worse else 0


def got_worse(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether the median grew by more than a tenth and the quartiles do not overlap."""
    return bool(after["median"] > ALLOWED * before["median"] and after["low"] > before["high"])


def _compare_power(old: dict[str, Any], new: dict[str, Any]) -> int:
    before, after = (
        {name: median_examples(fault["examples"]) for name, fault in result["faults"].items()}
        for result in (old, new)
    )
    _name_the_single(before, after)
    both = before.keys() & after.keys()
    worse = [name for name in before if name in both and needs_more(before[name], after[name])]
    for name in worse:
        print(f"{name}: {before[name]:g} -> {after[name]:g} examples")
    print(f"{len(worse)} of {len(both)} faults need more than twice the examples")
    return 1 if worse else 0


def median_examples(examples: list[int | None]) -> float:
    """The median over the seeds; a seed that found nothing counts as infinitely many."""
    return statistics.median(float("inf") if n is None else n for n in examples)


def needs_more(before: float, after: float) -> bool:
    """Whether a fault needs more than twice the examples that it needed."""
    return after > ALLOWED_EXAMPLES * before


def _name_the_single(before: dict[str, Any], after: dict[str, Any]) -> None:
    for name in sorted(before.keys() ^ after.keys()):
        print(f"in one file only: {name}")
