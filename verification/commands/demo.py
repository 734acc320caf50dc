"""`demo`: break a shipped layer on purpose, catch it, replay the case. In a folder of its own."""

import argparse
import inspect
import shutil
import time

from verification.commands import Subparsers, add_folder, check, could_not_run, replay
from verification.report.summary import Status

RIGHT = "grad_output.sum((0, 2, 3))"
WRONG = "grad_output.mean(0).sum((1, 2))"
"""The bias gradient of a convolution, and what many take for it: the batch is averaged."""


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "demo", help="break a copy of Conv2d on purpose, and see it caught and replayed"
    )
    add_folder(parser, "--folder", "reports/demo", "where the broken copy and its case go")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace, _: list[str]) -> int:
    """Break, catch, replay; 0 if the fault was caught and the replay shows it again."""
    from scratch_layers import convolution

    started = time.perf_counter()
    source = inspect.getsource(convolution)
    if source.count(RIGHT) != 1:
        return could_not_run(f"scratch_layers/convolution.py has not one line with {RIGHT}")
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    copy = options.folder / "convolution.py"
    copy.write_text(source.replace(RIGHT, WRONG))
    print(f"{copy}: a copy of scratch_layers/convolution.py with one line changed")
    print(f"  - {RIGHT}\n  + {WRONG}\n")
    layer = f"{copy}:Conv2d"
    asked = ["check", layer, "--like=Conv2d", "--property=gradients_match_reference"]
    caught = _run([*asked, "--dtype=float32", f"--cases={options.folder}"])
    cases = sorted(options.folder.glob("*.case.json"))
    if caught != Status.WRONG or not cases:
        return could_not_run("the fault was not caught")
    print("\nthe same case again, from its file:\n")
    replayed = _run(["replay", str(cases[0]), f"--allow-layer={layer}"])
    print(f"{time.perf_counter() - started:.0f} s")
    return Status.RIGHT if replayed == Status.WRONG else Status.WRONG


def _run(arguments: list[str]) -> int:
    """What the command line makes of these arguments."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for command in (check, replay):
        command.add_parser(subparsers)
    options = parser.parse_args(arguments)
    status: int = options.execute(options, [])
    return status
