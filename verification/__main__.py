"""The command line: `python -m verification {run,check,replay,script,demo,report,merge}`.

Exit status of every command: 0 right, 1 wrong, 2 could not run.
"""

import argparse
import sys
from collections.abc import Sequence

from verification.commands import check, demo, merge, replay, report, run, script

COMMANDS = (run, check, replay, script, demo, report, merge)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m verification",
        description="Verify hand-written layers, forward and backward.",
        epilog="Exit status: 0 right, 1 wrong, 2 could not run.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    options, more = parser.parse_known_args(arguments)
    # Only `run` passes on what it does not know: to pytest.
    if more and options.command != "run":
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    status: int = options.execute(options, more)
    return status


if __name__ == "__main__":
    sys.exit(main())
