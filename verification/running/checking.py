"""`verification.check`: every property that applies to one hand-written layer, and a report."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck

from verification import catalogue
from verification.cases.provenance import provenance
from verification.properties import PROPERTIES
from verification.properties.registry import Decides, Property, in_order
from verification.references.clauses import Clause
from verification.report.failure import failure_of, save_case
from verification.report.summary import Cell, Failure, NotApplicable, Result, Summary
from verification.report.verdict import Report
from verification.running.campaign import Run, Tally, hunt
from verification.running.selection import DEVICES, DTYPES, Target, absent, require_known
from verification.running.supervisor import Supervisor, why_unsupervised
from verification.subjects.entry import Entry
from verification.subjects.foreign import Factory, foreign_entry
from verification.trials.discrepancy import discrepancies
from verification.trials.run_case import run_case


def check(
    layer: Factory,
    *,
    like: object,
    name: str | None = None,
    properties: Sequence[str] = (),
    devices: Sequence[str] = ("cpu",),
    dtypes: Sequence[str] = ("float32", "float64"),
    examples: int = 100,
    contract: bool = False,
    supervised: bool = True,
    cases: Path = Path("reports/cases"),
    progress: Callable[[Cell], None] | None = None,
) -> Report:
    """Judge a hand-written layer by the row of its kind.

    Its cases run in a child process, where a crash, an endless loop or a lack of memory ends one
    case and not the run; a layer without an importable name runs in this one.

    Args:
        layer: its class, or a function that builds it; it has `forward` and `backward`. Arguments
            of the kind that it does not take stay at their defaults.
        like: the kind: "Conv2d", or a class of that name, such as torch.nn.Conv2d.
        name: by which a replay finds the layer again, `module:Name` or `file.py:Name`; its own
            where none is given.
        properties: their names; all that apply if empty.
        devices: "cpu", "cuda".
        dtypes: "float32", "float64".
        examples: for each property, device and dtype. The same are drawn on every run.
        contract: whether the layer contract (refusals, purity, state, accumulation, empty batches,
            NaN) decides too; otherwise what breaks it is shown beside the verdict.
        supervised: whether the child process is wanted; without it a debugger sees the layer.
        cases: the folder for the case files of failures.
        progress: called with every cell of the report as it is decided.

    Raises:
        SubjectError: the layer cannot be judged as that kind.
        ValueError: a property, device or dtype is unknown, or examples is less than 1.
    """
    if examples < 1:
        raise ValueError(f"examples is {examples}: give a number from 1 on")
    require_known("property", properties, PROPERTIES)
    require_known("device", devices, DEVICES)
    require_known("dtype", dtypes, DTYPES)
    entry = foreign_entry(layer, like, name=name)
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    started = time.perf_counter()
    chosen = [PROPERTIES[n] for n in properties] or in_order(PROPERTIES.values())
    found: list[Cell] = []
    unsupervised = why_unsupervised(layer, entry.name) if supervised else "as was asked for"
    with ExitStack() as stack:
        run: Run = run_case
        if not unsupervised:
            run = stack.enter_context(Supervisor(entry.spec)).run
        for target in _targets(entry, chosen, devices, dtypes, contract):
            found.append(_judge(target, settings, cases, run))
            if progress is not None:
                progress(found[-1])
    missing = [
        NotApplicable(entry.row.name, prop.name, prop.missing(entry))
        for prop in chosen
        if prop.missing(entry)
    ]
    seconds = time.perf_counter() - started
    summary = Summary(tuple(found), tuple(missing), seconds, provenance(layer=entry.name))
    return Report(entry.name, entry.row.name, contract, summary, unsupervised)


def _targets(
    entry: Entry,
    properties: Sequence[Property],
    devices: Sequence[str],
    dtypes: Sequence[str],
    contract: bool,
) -> Iterator[Target]:
    """The campaigns, property by property. Where the contract does not decide, correctness is asked
    without the cases that only the contract promises to handle.
    """
    lenient = replace(entry, waivers=dict.fromkeys(Clause, "no part of the verdict"))
    for prop in properties:
        asked = entry if contract or prop.decides is Decides.CONTRACT else lenient
        if prop.missing(asked):
            asked = entry
        if not prop.missing(asked):
            for device in devices:
                yield from (Target(asked, prop, device, dtype) for dtype in dtypes)


def _judge(target: Target, settings: hypothesis.settings, cases: Path, run: Run) -> Cell:
    reason = absent(target.device)
    if reason is not None:
        return Cell(*target.names(), Result.NOT_EXERCISED, reason)
    tally, failures, stopped = Tally(), list[Failure](), ""
    with catalogue.added(target.entry):
        try:
            hunt(
                target.entry,
                target.prop,
                device=target.device,
                dtype=target.dtype,
                tally=tally,
                settings=settings,
                run=run,
            )
        except Exception as error:
            failures = [failure_of(d, save_case(d, cases)) for d in discrepancies(error)]
            # What is no discrepancy is a fault of the suite: the other properties go on.
            stopped = "" if failures else f"{type(error).__name__}: {error}"
    result, reason = Result.PASSED, tally.nothing_judged()
    if failures:
        result = Result.FAILED
    elif stopped:
        result, reason = Result.NO_VERDICT, stopped.splitlines()[0]
    elif reason:
        result = Result.NOT_EXERCISED
    return Cell(*target.names(), result, reason, tuple(failures), **tally.to_dict())
