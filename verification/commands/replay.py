"""`replay`: run saved cases, show each and its verdict."""

import argparse
from pathlib import Path

from verification.cases.case_file import CaseFileError, read
from verification.commands import Subparsers, could_not_run
from verification.report.summary import Status


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("replay", help="run saved cases, without Hypothesis")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a *.case.json file")
    parser.add_argument(
        "--allow-layer",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="let the cases run this layer, which is not of the catalogue; may be repeated",
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace, _: list[str]) -> int:
    """Replay every file; the worst of their statuses: one that cannot run outweighs one wrong."""
    return max(_replay(path, options.allow_layer) for path in options.files)


def _replay(path: Path, allowed: list[str]) -> int:
    from verification.report.failure import case_lines, failure_text
    from verification.running.replay import changed_since, replay
    from verification.subjects.foreign import SubjectError
    from verification.trials.discrepancy import Discrepancy
    from verification.trials.outcome import NotExercised

    try:
        file = read(path)
        outcome = replay(file, allowed)
    except (CaseFileError, SubjectError) as error:
        return could_not_run(error)
    if isinstance(outcome, Discrepancy):
        print(failure_text(outcome))
    else:
        print("\n  ".join([file.case.property.replace("_", " "), *case_lines(file.case)]))
    if changed_since(file, allowed):
        print("  the layer changed since this case was written")
    if isinstance(outcome, NotExercised):
        return could_not_run(f"{path}: {outcome.reason}")
    failed = isinstance(outcome, Discrepancy)
    print(f"{path}: {'fails' if failed else 'no longer fails'}")
    return Status.WRONG if failed else Status.RIGHT
