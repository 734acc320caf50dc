"""The subcommands, one file each: `add_parser` describes it, its `execute` returns the exit
status.
"""

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

from verification.report.summary import Status

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def could_not_run(reason: object) -> int:
    """Say why in one sentence, and exit with the status that means it."""
    print(f"could not run: {reason}", file=sys.stderr)
    return Status.COULD_NOT_RUN


def add_folder(parser: argparse.ArgumentParser, option: str, default: str, what: str) -> None:
    """Add an option that names a folder to write to."""
    parser.add_argument(
        option, type=Path, default=Path(default), metavar="DIR", help=f"{what} (default: {default})"
    )


def add_selectors(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add --layer, --property, --device and --dtype, as far as they are named."""
    for name in names:
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"only this {name}; may be repeated",
        )
