"""gradcheck against torch.autograd.gradcheck: speed, detection, specificity, in one run.

python -m benchmarks gradcheck --json FILE
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import gradcheck_detection, gradcheck_specificity, gradcheck_speed
from benchmarks.timing import machine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this subcommand."""
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--repeats", type=int, default=15, help="timings of each checker")
    parser.add_argument("--seeds", type=int, default=60, help="planted errors for each layer")
    parser.add_argument("--entries", type=int, default=2_000_000, help="right entries, each dtype")


def run(options: argparse.Namespace) -> int:
    """Measure, print the tables, and write them as JSON where asked; a false alarm is a failure."""
    torch.set_num_threads(1)
    figures: dict[str, Any] = {**machine(), "command": " ".join(sys.argv)}
    for title, measure, count in (
        ("speed", gradcheck_speed.measure, options.repeats),
        ("detection", gradcheck_detection.measure, options.seeds),
        ("specificity", gradcheck_specificity.measure, options.entries),
    ):
        figures[title] = measure(count) if count else []
        print(title)
        for row in figures[title]:
            print("  " + "  ".join(_shown(value) for value in row.values()), flush=True)
        if options.json is not None:  # after each part: the whole takes a quarter of an hour
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(any(row["false_alarms"] for row in figures["specificity"]))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return f"{len(value)} false alarms" + "".join(f"\n    {item}" for item in value[:20])
    return str(value)
