"""Right layers before the suite, on fresh seeds: every alarm is a fault of the suite.

python -m benchmarks alarms --json FILE

The right convolutions of verification/meta/right, the shipped layers, and torch's own against their
rows; every property that applies, with another seed each time. The turn is always that of the
subject with the fewest examples, until each has stood as many as were asked for. The file is
written after each subject, and a run that was ended goes on from it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
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
    parser.add_argument("--examples", type=int, default=1000, help="of every subject, at least")
    parser.add_argument("--each", type=int, default=10, help="examples of a campaign")
    parser.add_argument("--seed", type=int, default=0, help="of a subject's first campaigns")
    parser.add_argument("--only", default="", help="subjects whose name contains this")


def run(options: argparse.Namespace) -> int:
    """Run campaigns until every subject has stood enough examples; 1 if anything alarmed."""
    torch.set_num_threads(1)
    result = _read(options.json)
    result |= {"machine": machine(), "command": f"python -m benchmarks {' '.join(sys.argv[1:])}"}
    every = (*RIGHT.values(), *catalogue.SHIPPED.values(), *REFERENCES.values())
    chosen = [entry for entry in every if options.only in entry.name]
    counts, rounds = result["examples"], result["rounds"]
    with Progress(console=Console(stderr=True)) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = progress.add_task("examples", total=options.examples * len(chosen))
        while True:
            entry = min(chosen, key=lambda entry: counts.get(entry.name, 0))
            if counts.get(entry.name, 0) >= options.examples:
                break
            seed = options.seed + rounds.get(entry.name, 0)
            for prop, dtype in itertools.product(applicable(entry), DTYPES):
                _campaign(result, entry, prop, dtype, options.each, seed)
            rounds[entry.name] = rounds.get(entry.name, 0) + 1
            options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            done = (min(counts.get(e.name, 0), options.examples) for e in chosen)
            progress.update(task, completed=sum(done))
    for name, count in counts.items():
        print(f"{count:8} {name}")
    print(
        f"{sum(counts.values())} examples of {len(counts)} subjects, of each {min(counts.values())}"
        f" or more, median {statistics.median_low(counts.values())}; {len(result['alarms'])} alarms"
    )
    for alarm in result["alarms"]:
        print(alarm)
    return int(bool(result["alarms"]))


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"kind": "alarms", "rounds": {}, "examples": {}, "alarms": []}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _campaign(
    result: dict[str, Any], entry: Entry, prop: Property, dtype: str, each: int, seed: int
) -> None:
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
            hunt(entry, prop, dtype=dtype, tally=tally, settings=settings, seed=seed)
        except (Discrepancy, ExceptionGroup) as alarm:
            result["alarms"].append(f"{entry.name} {prop.name} {dtype}: {alarm}")
    judged = tally.examples - tally.unjudged.total()
    result["examples"][entry.name] = result["examples"].get(entry.name, 0) + judged
