"""`report`: one verdict from what the suite and the smoke run left behind."""

import argparse
from pathlib import Path

from verification.commands import Subparsers, could_not_run


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "report", help="join a run's summary and the smoke run into one verdict"
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds summary.json")
    parser.add_argument("--smoke", type=Path, metavar="FILE", help="the smoke run's JSON")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace, _: list[str]) -> int:
    """Print the verdict, write report.md and index.html beside the summary."""
    return conclude(options.folder, options.smoke)


def conclude(folder: Path, smoke: Path | None) -> int:
    """The verdict on the summary in a folder, and its pages; the exit status."""
    from verification.report.gate import Gate

    try:
        gate = Gate.read(folder, smoke)
    except ValueError as error:
        return could_not_run(error)
    gate.write(folder)
    print("\n".join(gate.lines()))
    return gate.status
