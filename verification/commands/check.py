"""`check`: judge one hand-written layer by the row of its kind, or a function by its inputs."""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from verification.commands import (
    Subparsers,
    add_folder,
    add_selectors,
    could_not_run,
    described,
    told,
)
from verification.report.summary import Status

if TYPE_CHECKING:
    from verification.report.summary import Cell


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("check", help="verify a layer of your own")
    parser.add_argument(
        "layer", metavar="MODULE:NAME", help="package.module:Name or path/to/file.py:Name"
    )
    parser.add_argument(
        "--like", metavar="KIND", help="Conv2d, torch.optim.Adam, ...; or give --input"
    )
    told.add_options(parser)
    described.add_options(parser)
    add_selectors(parser, "property", "device", "dtype")
    parser.add_argument(
        "--examples", type=int, default=100, metavar="N", help="per property (default: 100)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=math.inf,
        metavar="S",
        help="a budget that the properties share",
    )
    parser.add_argument(
        "--waive",
        action="append",
        default=[],
        metavar="CLAUSE",
        help="a clause of the contract that the layer does not claim: empty-batch; with --reason",
    )
    parser.add_argument(
        "--reason", action="append", default=[], metavar="TEXT", help="why, one for each --waive"
    )
    parser.add_argument("--contract", action="store_true", help="let the layer contract decide too")
    add_folder(parser, "--cases", "reports/cases", "folder for case files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report here too")
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="an earlier report (--json): fail only on what it does not hold",
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace, _: list[str]) -> int:
    """Check the layer and print the report."""
    import torch

    from verification.report.annotations import annotation_lines, wanted
    from verification.report.baseline import Baseline, baseline_lines
    from verification.running.checking import check
    from verification.running.supervisor import ChildError
    from verification.subjects.loading import SubjectError

    shown = _Shown(options.contract)
    torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other
    baseline = Baseline()
    try:
        if len(options.waive) != len(options.reason):
            raise ValueError("give one --reason for each --waive")
        if options.baseline is not None:
            baseline = Baseline.read(options.baseline)
        report = check(
            options.layer,
            like=options.like,
            **described.said(options),
            against=options.against,
            kwargs=options.kwargs,
            hold=options.hold,
            one_number=options.one_number,
            axes=options.axes,
            rename=dict(options.rename),
            layout=dict(options.layout),
            held=dict(options.held),
            backward=options.backward,
            properties=options.property,
            devices=options.device or ["cpu"],
            dtypes=options.dtype or ["float32", "float64"],
            examples=options.examples,
            seconds=options.seconds,
            waive=dict(zip(options.waive, options.reason, strict=True)),
            contract=options.contract,
            cases=options.cases,
            progress=shown,
        )
    except (SubjectError, ChildError, ValueError) as error:
        return could_not_run(error)
    finally:
        shown.close()
    print()
    print(report)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report.to_dict(), indent=1) + "\n")
    held = baseline.applied(report.summary)
    for line in baseline_lines(held):
        print(line)
    new = replace(report, summary=held).failures
    if wanted():
        print("\n".join(annotation_lines(new, report.found.source)))
    if new:
        return Status.WRONG
    if report.undecided or not report.judged:
        return could_not_run("there is no verdict")
    return Status.RIGHT


class _Shown:
    """One line for each cell, and on a terminal a bar that says how many are left. Without the
    contract a cell of it that failed stands beside the verdict.
    """

    def __init__(self, contract: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._contract = contract
        columns = (TextColumn("{task.completed:.0f} of {task.total:.0f}"), BarColumn())
        # Transient: when all is said the bar is gone. Where there is no terminal it never shows.
        console = Console(highlight=False, markup=False, soft_wrap=True)
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self._task = self._bar.add_task("", total=0)

    def __call__(self, cell: "Cell", left: int) -> None:
        line = (
            f"{cell.result:>13}  {cell.property}  {cell.dtype} {cell.device}"
            f"  {cell.examples} examples, {cell.seconds:.1f} s"
        )
        if cell.result == "failed" and cell.decides == "contract" and not self._contract:
            line += "  (contract, beside the verdict)"
        if not self._bar.console.is_terminal:
            print(line, flush=True)
            return
        done = self._bar.tasks[0].completed + 1
        self._bar.update(self._task, total=done + left, completed=done)
        self._bar.start()
        self._bar.console.print(line)

    def close(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar.live.is_started:
            self._bar.stop()
