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
    add_files(parser)
    parser.set_defaults(execute=execute)


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options that name what the report joins to the summary."""
    parser.add_argument("--smoke", type=Path, metavar="FILE", help="the smoke run's JSON")
    parser.add_argument(
        "--power", type=Path, metavar="FILE", help="the JSON of `python -m benchmarks power`"
    )


def execute(options: argparse.Namespace, _: list[str]) -> int:
    """Print the verdict, write report.md and index.html beside the summary."""
    return conclude(options.folder, options)


def conclude(folder: Path, options: argparse.Namespace) -> int:
    """The verdict on the summary in a folder, and its pages; the exit status."""
    from verification.report.gate import Gate

    try:
        gate = Gate.read(folder, options.smoke, options.power)
    except ValueError as error:
        return could_not_run(error)
    gate.write(folder)
    print("\n".join(gate.lines()))
    return gate.status
