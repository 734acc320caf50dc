"""`script`: a case as a standalone script, to paste into a bug report."""

import argparse
import sys
from pathlib import Path

from verification.cases.case_file import CaseFileError, read
from verification.commands import Subparsers, could_not_run
from verification.report.summary import Status


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "script", help="print a saved case as a script with torch and the layer only"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a *.case.json file")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace, _: list[str]) -> int:
    """Print the script."""
    from verification.report.scripts.script import script

    try:
        sys.stdout.write(script(read(options.file)))
    except ValueError as error:  # of the file, or of a kind that no row judges
        reason = str(error)
        known = isinstance(error, CaseFileError) and str(options.file) in reason
        return could_not_run(reason if known else f"{options.file}: {reason}")
    return Status.RIGHT
