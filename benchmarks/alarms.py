"""Right layers before the suite, on fresh seeds: every alarm is a fault of the suite.

python -m benchmarks alarms --json FILE

The right convolutions of verification/meta/right, the shipped layers, and torch's own against their
rows, in turn, every property that applies; a seed a round. The file is written after each subject;
a run that was ended goes on with the next one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import hypothesis
import torch
from hypothesis import HealthCheck
from rich.console import Console
from rich.progress import Progress

from benchmarks.timing import machine
from verification import catalogue
from verification.meta.right import RIGHT
from verification.properties import Property, applicable
from verification.references.torch_nn import REFERENCES
from verification.running.campaign import Tally, hunt
from verification.running.selection import DTYPES
from verification.subjects.entry import Entry
from verification.trials.discrepancy import Discrepancy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m benchmarks alarms`."""
    parser.add_argument("--json", type=Path, required=True, help="read and write figures here")
    parser.add_argument("--examples", type=int, default=100_000, help="stop after so many")
    parser.add_argument("--each", type=int, default=10, help="examples of a campaign")
    parser.add_argument("--only", default="", help="subjects whose name contains this")


def run(options: argparse.Namespace) -> int:
    """Run campaigns until there were enough examples; 1 if anything alarmed."""
    torch.set_num_threads(1)
    result = _read(options.json)
    result |= {"machine": machine(), "command": f"python -m benchmarks {' '.join(sys.argv[1:])}"}
    with Progress(console=Console(stderr=True)) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = progress.add_task("examples", total=options.examples)
        while sum(result["examples"].values()) < options.examples:
            entry = _next(result, options.only)
            for prop, dtype in itertools.product(applicable(entry), DTYPES):
                _campaign(result, entry, prop, dtype, options.each)
            result["round"].append(entry.name)
            options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            progress.update(task, completed=sum(result["examples"].values()))
    for name, count in result["examples"].items():
        print(f"{count:8} {name}")
    print(f"{sum(result['examples'].values())} examples, {len(result['alarms'])} alarms")
    for alarm in result["alarms"]:
        print(alarm)
    return int(bool(result["alarms"]))


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"kind": "alarms", "seed": 0, "round": [], "examples": {}, "alarms": []}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _next(result: dict[str, Any], only: str) -> Entry:
    """The subject whose turn it is; after the last one the next seed begins."""
    every = (*RIGHT.values(), *catalogue.SHIPPED.values(), *REFERENCES.values())
    chosen = [entry for entry in every if only in entry.name]
    if len(result["round"]) >= len(chosen):
        result |= {"seed": result["seed"] + 1, "round": []}
    return next(entry for entry in chosen if entry.name not in result["round"])


def _campaign(result: dict[str, Any], entry: Entry, prop: Property, dtype: str, each: int) -> None:
    """Count the examples of one campaign, and what it says of a right layer."""
    settings = hypothesis.settings(
        max_examples=each,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    tally = Tally()
    with catalogue.added(entry):
        try:
            hunt(entry, prop, dtype=dtype, tally=tally, settings=settings, seed=result["seed"])
        except (Discrepancy, ExceptionGroup) as alarm:
            result["alarms"].append(f"{entry.name} {prop.name} {dtype}: {alarm}")
    judged = tally.examples - tally.unjudged.total()
    result["examples"][entry.name] = result["examples"].get(entry.name, 0) + judged
