"""`merge`: one verdict and one page from the shards of a run."""

import argparse
from pathlib import Path

from verification.commands import Subparsers, add_folder, could_not_run
from verification.commands.report import add_files, conclude


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("merge", help="join the summaries of a run's shards")
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="each holds a shard's summary.json"
    )
    add_files(parser)
    add_folder(parser, "--into", "reports/verify", "where the whole is written")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace, _: list[str]) -> int:
    """Write summary, report.md and index.html of the whole, print the verdict."""
    from verification.report import summary
    from verification.report.merge import merge

    try:
        merge([summary.read(folder) for folder in options.folders]).write(options.into)
    except ValueError as error:
        return could_not_run(error)
    return conclude(options.into, options)
