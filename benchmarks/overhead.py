"""What keeping a journal, counting and reporting cost a green run, beside the bare campaigns.

Each campaign runs twice in a row, once with and once without, in alternating order: both see the
same cases and the same state of the machine. Time is that of the process, so that other work on the
machine does not count. The summary and the page are written once a round, as a run writes them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import torch

from verification.cases import Case
from verification.report.gate import Gate
from verification.report.summary import Cell, Result, Summary
from verification.running.campaign import Tally, hunt
from verification.running.journal import Journal
from verification.running.selection import Selection, Target
from verification.trials.outcome import Outcome
from verification.trials.run_case import Run, run_case

MOST = 0.05
"""The share of a run that all of it may take."""


class Uncounted(Tally):
    """Counts examples only."""

    def add(self, case: Case, outcome: Outcome) -> None:
        """Count one example."""
        self.examples += 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m benchmarks overhead`."""
    parser.add_argument("--examples", type=int, default=100, help="a campaign (default: 100)")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--every", type=int, default=6, help="of the campaigns, one in so many")


def run(options: argparse.Namespace) -> int:
    """Print the totals and the median over all pairs; 1 where that is over MOST."""
    torch.set_num_threads(1)
    targets = Selection(devices=("cpu",)).targets()[:: options.every]
    settings = hypothesis.settings(
        max_examples=options.examples, derandomize=True, database=None, deadline=None
    )
    with tempfile.TemporaryDirectory() as folder:
        one_round(targets, settings, Path(folder))  # warms up
        rounds = [one_round(targets, settings, Path(folder)) for _ in range(options.rounds)]
    pairs = [pair for found, _ in rounds for pair in found]
    bare, whole = map(sum, zip(*pairs, strict=True))
    report = statistics.median(seconds for _, seconds in rounds) / (bare / options.rounds)
    print(f"{len(pairs)} pairs: bare {bare:.1f} s, with journal and tally {whole:.1f} s")
    # Of single pairs, so that one that other work has disturbed counts for no more than another.
    shares = sorted(with_it / without - 1 for without, with_it in pairs)
    low, median, high = statistics.quantiles(shares, n=4)
    print(
        f"overhead on campaigns of {options.examples} examples: median {median + report:.1%}"
        f" ({report:.2%} of it the report), quartiles {low:.1%} and {high:.1%}"
    )
    return int(median + report > MOST)


def one_round(
    targets: Sequence[Target], settings: hypothesis.settings, folder: Path
) -> tuple[list[tuple[float, float]], float]:
    """Seconds of each campaign, bare and with journal and tally; and those of the report."""
    journal = Journal(folder / "journal")
    pairs, cells = [], []
    for number, target in enumerate(targets):
        spent = {}
        for whole in (True, False) if number % 2 else (False, True):
            tally = Tally() if whole else Uncounted()
            spent[whole] = _seconds(target, settings, tally, journal.run if whole else run_case)
            if whole:
                cells.append(Cell(*target.names(), Result.PASSED, **tally.to_dict()))
        pairs.append((spent[False], spent[True]))
    started = time.process_time()
    Summary(tuple(cells)).write(folder)
    Gate.read(folder, None).write(folder)
    return pairs, time.process_time() - started


def _seconds(target: Target, settings: hypothesis.settings, tally: Tally, run: Run) -> float:
    started = time.process_time()
    hunt(
        *target,
        tally=tally,
        settings=settings,
        run=run,
    )
    return time.process_time() - started
