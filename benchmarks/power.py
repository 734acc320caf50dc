"""What the suite finds: for every wrong layer the examples and seconds to the first failure.

python -m benchmarks power --json FILE

Every fault of verification/meta/faults and every wrong twin of verification/meta/wrong_twins. The
file is written after each fault; a run that was ended goes on with those that are not in it.

The file: "kind" ("power"), "machine", "command", and "faults", of which each has by its name

    kind, shown, seen, hidden   the row, what shows the fault, where it was seen, whether it hides
    examples, seconds           to the first failure, a number a seed; null where it was missed
    ci                          the examples with the draws of the profile `ci`, or null
    properties                  by the name of each property, examples a seed of this one alone;
                                none after a seed with which it missed
    others                      by the names of power_tables.OTHERS: found, missed or not asked
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from benchmarks.power_others import ask_others
from benchmarks.power_subjects import Wrong, every_fault
from benchmarks.power_tables import by_kind
from benchmarks.timing import machine

EXAMPLES = 100
"""Of a campaign, as in the profiles `dev` and `ci`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m benchmarks power`."""
    parser.add_argument("--json", type=Path, required=True, help="read and write figures here")
    parser.add_argument("--seeds", type=int, default=10, help="campaigns of each fault")
    parser.add_argument("--matrix", type=int, default=3, help="seeds for each property alone")
    parser.add_argument("--matrix-examples", type=int, default=EXAMPLES, help="of its campaigns")
    parser.add_argument("--only", default="", help="faults whose name contains this")


def run(options: argparse.Namespace) -> int:
    """Measure what is missing, print the table; 1 if a fault was not found with every seed."""
    torch.set_num_threads(1)
    result = _read(options.json)
    result |= {"machine": machine(), "command": f"python -m benchmarks {' '.join(sys.argv[1:])}"}
    faults = [wrong for wrong in every_fault() if options.only in wrong.name]
    for wrong in track(faults, "faults", console=Console(stderr=True)):
        figures = result["faults"].setdefault(wrong.name, {})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _measure(wrong, figures, options)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    shown = {wrong.name: result["faults"][wrong.name] for wrong in faults}
    print("\n".join(by_kind(shown)))
    missed = [name for name, figures in shown.items() if None in figures["examples"]]
    for name in missed:
        print(f"not found with every seed: {name} {shown[name]['examples']}")
    return int(bool(missed))


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"kind": "power", "faults": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _measure(wrong: Wrong, figures: dict[str, Any], options: argparse.Namespace) -> None:
    """Fill in what a fault's figures lack."""
    figures |= {
        "kind": wrong.kind,
        "shown": wrong.shown,
        "seen": wrong.seen,
        "hidden": wrong.hidden,
    }
    if len(figures.get("examples", ())) < options.seeds:
        found = [_first(wrong, wrong.caught_by, seed) for seed in range(options.seeds)]
        figures["examples"] = [examples for examples, _ in found]
        figures["seconds"] = [seconds for _, seconds in found]
        figures["ci"] = _first(wrong, wrong.caught_by, None)[0]
    matrix = figures.setdefault("properties", {})
    for name in wrong.applicable():
        found = matrix.setdefault(name, [])
        # What was missed once is not found with every seed, and a miss is what takes long.
        while len(found) < options.matrix and None not in found:
            found.append(_first(wrong, [name], len(found), options.matrix_examples)[0])
    if "others" not in figures:
        figures["others"] = ask_others(wrong)


def _first(
    wrong: Wrong, names: Iterable[str], seed: int | None, examples: int = EXAMPLES
) -> tuple[int | None, float | None]:
    """Examples and seconds of the first of these properties to fail; their campaigns are apart."""
    found = [wrong.first_failure(name, examples, seed) for name in names]
    failures = [(f.examples, round(f.seconds, 4)) for f in found if f is not None]
    return min(failures, default=(None, None))
