"""`run`: the suite, by pytest with the selectors translated; there is no second runner."""

import argparse
import subprocess
import sys
from pathlib import Path

from verification.commands import Subparsers, add_selectors
from verification.report.summary import Status

SUITE = Path(__file__).parent.parent / "suite"


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "run",
        help="verify every shipped layer",
        description="Verify the shipped layers. Other options go to pytest: -n auto,"
        " --hypothesis-profile=thorough, -x, ...",
    )
    add_selectors(parser, "layer", "property", "device", "dtype")
    parser.add_argument("--examples", metavar="N", help="examples per property")
    parser.add_argument("--shard", metavar="NUMBER/COUNT", help="only this part, such as 3/8")
    parser.add_argument("--cases", metavar="DIR", help="folder for case files")
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="an earlier run's summary.json: fail only on what is not in it",
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace, more: list[str]) -> int:
    """Run pytest on the suite."""
    command = [sys.executable, "-m", "pytest", "-p", "verification.plugin", str(SUITE)]
    for name in ("layer", "property", "device", "dtype"):
        command += [f"--verify-{name}={value}" for value in getattr(options, name)]
    for name in ("examples", "shard", "cases", "baseline"):
        value = getattr(options, name)
        command += [] if value is None else [f"--verify-{name}={value}"]
    # A process of its own: the suite's settings and pytest's own stay out of this one.
    status = subprocess.run([*command, *more], check=False).returncode
    return {0: Status.RIGHT, 1: Status.WRONG}.get(status, Status.COULD_NOT_RUN)
