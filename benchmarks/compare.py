"""Name the cells that got slower from one JSON file to another, beyond the spread of both."""

import argparse
import json
from pathlib import Path
from typing import Any

# A ratio may grow by a tenth before anyone is told.
ALLOWED = 1.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m benchmarks compare`."""
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)


def run(options: argparse.Namespace) -> int:
    """Print the cells that got worse. 0: none; 1: some; 2: the files cannot be compared."""
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (options.old, options.new))
    if old["kind"] != new["kind"]:
        print(f"{options.old} is of kind {old['kind']}, {options.new} of kind {new['kind']}")
        return 2
    for name in sorted(old["machine"].keys() | new["machine"].keys()):
        if old["machine"].get(name) != new["machine"].get(name):
            print(f"{name} differs: {old['machine'].get(name)}; {new['machine'].get(name)}")
    before = {cell["name"]: cell["ratio"] for cell in old["cells"]}
    after = {cell["name"]: cell["ratio"] for cell in new["cells"]}
    for name in before.keys() ^ after.keys():
        print(f"in one file only: {name}")
    worse = [name for name in before if name in after and got_worse(before[name], after[name])]
    for name in worse:
        print(f"{name}: {before[name]['median']:.2f} -> {after[name]['median']:.2f}")
    print(f"{len(worse)} of {len(before.keys() & after.keys())} cells got worse")
    return 1 if worse else 0


def got_worse(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether the median grew by more than a tenth and the quartiles do not overlap."""
    return bool(after["median"] > ALLOWED * before["median"] and after["low"] > before["high"])
