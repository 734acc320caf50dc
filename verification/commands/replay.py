"""`replay`: run saved cases, show each and its verdict."""

import argparse
import pdb
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from verification.cases.case_file import CaseFile, CaseFileError, read
from verification.commands import Subparsers, could_not_run
from verification.report.summary import Status

if TYPE_CHECKING:
    from verification.trials.outcome import Outcome


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
    parser.add_argument("--device", metavar="NAME", help="run on this device and not the case's")
    parser.add_argument(
        "--dtype",
        choices=["float64", "float32", "float16", "bfloat16"],
        help="run in this dtype and not the case's",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="stop in pdb where the discrepancy is raised; the layer then runs in this process",
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace, _: list[str]) -> int:
    """Replay every file; the worst of their statuses: one that cannot run outweighs one wrong."""
    return max(_replay(path, options) for path in options.files)


def _replay(path: Path, options: argparse.Namespace) -> int:
    from verification.running.replay import replay
    from verification.subjects.loading import SubjectError
    from verification.trials.discrepancy import Discrepancy
    from verification.trials.outcome import NotExercised

    try:
        file = _elsewhere(read(path), options)
        outcome, changed = replay(file, options.allow_layer, supervised=not options.debug)
    except (CaseFileError, SubjectError) as error:
        return could_not_run(error)
    print("\n  ".join(_lines(file, outcome)))
    if changed:
        print("  the layer changed since this case was written")
    if isinstance(outcome, NotExercised):
        return could_not_run(f"{path}: {outcome.reason}")
    failed = isinstance(outcome, Discrepancy)
    print(f"{path}: {'fails' if failed else 'no longer fails'}")
    if isinstance(outcome, Discrepancy) and options.debug:
        pdb.post_mortem(outcome.__traceback__)
    return Status.WRONG if failed else Status.RIGHT


def _elsewhere(file: CaseFile, options: argparse.Namespace) -> CaseFile:
    """The file with the device and dtype that were asked for."""
    asked = {"device": options.device, "dtype": options.dtype}
    changes = {name: value for name, value in asked.items() if value is not None}
    return replace(file, case=replace(file.case, **changes))


def _lines(file: CaseFile, outcome: "Outcome") -> Iterator[str]:
    """The case, how its layer reads the picture, and the worst entries where it fails."""
    from verification.report.comparison import comparison_lines
    from verification.report.failure import case_lines, failure_text
    from verification.report.geometry import geometry_lines
    from verification.trials.discrepancy import Discrepancy

    if not isinstance(outcome, Discrepancy):
        yield file.case.property.replace("_", " ")
        yield from case_lines(file.case)
        yield from geometry_lines(file.case)
        return
    yield failure_text(outcome)
    yield from geometry_lines(outcome.case)
    if outcome.finding.compared is not None:
        yield from comparison_lines(outcome.finding.compared)
