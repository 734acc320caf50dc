"""The command line: `python -m verification {run,check,replay,script,demo,report,merge}`.

Exit status of every command: 0 right, 1 wrong, 2 could not run.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from verification.commands import check, demo, merge, replay, report, run, script
from verification.report.summary import Status

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


def _until_nobody_reads() -> int:
    """The same for a shell, where `| head` may close the pipe: then there is nobody to tell."""
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.COULD_NOT_RUN


if __name__ == "__main__":
    sys.exit(_until_nobody_reads())
