"""`verification.check`: every property that applies to one hand-written layer, and a report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck
from hypothesis.strategies import SearchStrategy

from verification import catalogue
from verification.cases import SubjectSpec
from verification.cases.provenance import provenance
from verification.properties import PROPERTIES
from verification.properties.registry import Decides, Property, in_order
from verification.references.clauses import Clause
from verification.report.failure import failure_of, save_case
from verification.report.summary import Cell, Failure, NotApplicable, Result, Summary
from verification.report.verdict import Report
from verification.running.campaign import Tally, hunt
from verification.running.causes import survey
from verification.running.functions import Function, Said
from verification.running.selection import DEVICES, DTYPES, Target, absent, require_known
from verification.running.supervisor import Supervisor
from verification.strategies.geometry import Geometry, Limits
from verification.subjects.entry import Entry
from verification.subjects.foreign import foreign_entry, kind_named
from verification.subjects.loading import Loaded, importable_name, load, why_not_importable
from verification.subjects.probed import Probed
from verification.subjects.told import Adapter
from verification.trials.discrepancy import Discrepancy, discrepancies
from verification.trials.guards import globals_restored
from verification.trials.run_case import Run, run_case

Progress = Callable[[Cell, int], None]

CASES = Path("reports/cases")
"""Where case files go unless another folder is given."""


@dataclass(frozen=True)
class Asked:
    """What a check is about, and how far it goes. The fields are `check`'s arguments."""

    properties: Sequence[str] = ()
    devices: Sequence[str] = ("cpu",)
    dtypes: Sequence[str] = ("float32", "float64")
    examples: int = 100
    seconds: float = math.inf
    contract: bool = False
    waive: Mapping[Clause, str] = field(default_factory=dict)
    cases: Path = CASES

    def __post_init__(self) -> None:
        if self.examples < 1:
            raise ValueError(f"examples is {self.examples}: give a number from 1 on")
        if not self.seconds > 0:
            raise ValueError(f"seconds is {self.seconds}: give a positive number")
        require_known("property", self.properties, PROPERTIES)
        require_known("device", self.devices, DEVICES)
        require_known("dtype", self.dtypes, DTYPES)

    @property
    def chosen(self) -> list[Property]:
        """The properties in the order in which a report shows them."""
        return [PROPERTIES[n] for n in self.properties] or in_order(PROPERTIES.values())

    @property
    def settings(self) -> hypothesis.settings:
        """The same examples on every run."""
        return hypothesis.settings(
            max_examples=self.examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )


def check(
    layer: Loaded | str,
    *,
    like: object = None,
    inputs: Mapping[str, str] | None = None,
    where: str = "",
    settings: Mapping[str, Sequence[Any]] | None = None,
    batch: str | None = None,
    constant: Collection[str] = (),
    derivative_of: Function | None = None,
    vjp: Function | None = None,
    scaled_by: float | None = None,
    approximate: float | None = None,
    stochastic: Function | None = None,
    reference: Function | None = None,
    name: str | None = None,
    against: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
    hold: Mapping[str, Any] | None = None,
    one_number: Collection[str] = (),
    axes: Collection[int] = (),
    rename: Mapping[str, str] | None = None,
    layout: Mapping[str, Sequence[int]] | None = None,
    held: Mapping[str, tuple[str, str]] | None = None,
    backward: str | None = None,
    properties: Sequence[str] = (),
    devices: Sequence[str] = ("cpu",),
    dtypes: Sequence[str] = ("float32", "float64"),
    examples: int = 100,
    seconds: float = math.inf,
    contract: bool = False,
    waive: Mapping[str, str] | None = None,
    geometries: Callable[[Limits], SearchStrategy[Geometry]] | None = None,
    supervised: bool = True,
    cases: Path = CASES,
    progress: Progress | None = None,
) -> Report:
    """Judge a hand-written layer by the row of its kind, or any differentiable function by the
    description of its inputs, which docs/any-function.md explains.

    Its cases run in a child process, where a crash, an endless loop or a lack of memory ends one
    case and not the run; a layer without an importable name runs in this one.

    Args:
        layer: its class, a function that builds it, a function of tensors, a pair of functions
            (forward, backward), or the name of any of them, "module:Name" or "file.py:Name". Of a
            name nothing is imported in this process.
        like: the kind: "Conv2d", "torch.optim.Adam", or torch's own class. None for a function that
            is judged by its inputs.
        inputs: one line for each tensor: {"x": "n c h w", "labels": "n labels(c)"}. None where the
            signature is annotated: Float[Tensor, "n c h w"].
        where: a relation between extents: "k <= h".
        settings: for each argument that is no tensor, the values that it takes in turn.
        batch: the extent that counts samples which do not see each other.
        constant: inputs that have no gradient by contract.
        derivative_of: the function whose derivative the backward is, not its own forward's.
        vjp: the rule (*inputs, *cotangents) -> gradients of a backward that is not linear.
        scaled_by: the factor between the backward and the derivative.
        approximate: how far the backward may be off, as a share of its largest entry.
        stochastic: the mean of the function over draws, whose derivative is the backward's mean.
        reference: other code for the same map, whose results count as true.
        name: by which a replay finds the layer again; its own where none is given.
        against: the name of another layer of the kind, whose results count as true: the one that is
            to be replaced.
        kwargs: arguments that the layer is always built with.
        hold: arguments of the kind that are held at one value.
        one_number: arguments that the layer takes as one number for all axes.
        axes: how many axes the first input may have, where not any.
        rename: the layer's name for an argument of the kind, where it is not found out.
        layout: for a tensor of the kind, the order in which the layer holds its axes:
            {"weight": (2, 3, 1, 0)}.
        held: for a parameter of the kind, the attributes that hold its value and its gradient:
            {"weight": ("W", "dW")}.
        backward: the name of the method that differentiates.
        properties: their names; all that apply if empty.
        devices: "cpu", "cuda".
        dtypes: "float32", "float64".
        examples: for each property, device and dtype. The same are drawn on every run.
        seconds: a budget that the properties share; the report says which were cut short.
        contract: whether the layer contract (refusals, purity, state, accumulation, empty batches,
            NaN) decides too; otherwise what breaks it is shown beside the verdict.
        waive: clauses of the contract that the layer does not claim ("empty-batch"), each with the
            reason, which the report shows.
        geometries: a strategy of your own for arguments and shapes, in the place of the kind's.
        supervised: whether the child process is wanted; without it a debugger sees the layer.
        cases: the folder for the case files of failures.
        progress: called with every cell of the report as it is decided, and how many are left.

    Raises:
        SubjectError: the layer cannot be found, or cannot be judged as that kind or as described.
        ValueError: a property, device, dtype or clause is unknown, or a number makes no sense.
    """
    asked = Asked(
        properties, devices, dtypes, examples, seconds, contract, waivers(waive or {}), cases
    )
    if like is None:
        declared = derivative_of, vjp, scaled_by, approximate, stochastic, reference
        spec = Said(inputs, where, settings, batch, constant, *declared).spec(layer, name)
    else:
        told = Adapter.said(
            kwargs=kwargs,
            hold=hold,
            one_number=one_number,
            axes=axes,
            rename=rename,
            layout=layout,
            held=held,
            against=against,
            backward=backward,
        )
        spec = spec_told(layer, like, told, name)
    with ExitStack() as stack:
        subject = subject_of(layer, spec, supervised, stack)
        if geometries is not None:
            row = replace(subject.entry.row, geometries=geometries)
            subject = replace(subject, entry=replace(subject.entry, row=row))
        return _report(subject, asked, progress)


def spec_told(
    layer: Loaded | str,
    like: object,
    told: Adapter,
    name: str | None = None,
) -> SubjectSpec:
    """The spec of a layer with what its user told of it."""
    own_name = layer if isinstance(layer, str) else importable_name(layer)
    return SubjectSpec(name or own_name, kind_named(like).name, adapter=told.told)


def waivers(waive: Mapping[str, str]) -> dict[Clause, str]:
    """The clauses that a user waives, by the names that a command line can take.

    Raises:
        ValueError: there is no such clause, or no reason is given.
    """
    known = {clause.name.lower().replace("_", "-"): clause for clause in Clause}
    require_known("clause", waive, known)
    for name, reason in waive.items():
        if not reason.strip():
            raise ValueError(f"no reason is given to waive {name}: say why with --reason")
    return {known[name]: reason for name, reason in waive.items()}


@dataclass(frozen=True)
class Subject:
    """A layer under judgement: its entry, what runs its cases, what was found out about it, and why
    it runs in this process, empty if it does not.
    """

    entry: Entry
    run: Run
    found: Probed
    unsupervised: str = ""


def subject_of(
    layer: Loaded | str, spec: SubjectSpec, supervised: bool, stack: ExitStack
) -> Subject:
    """The subject, in a child process that ends with the stack where that is wanted and can be."""
    if isinstance(layer, str):
        if supervised:
            return _supervised(spec, stack)
        layer = load(layer)
    why = why_not_importable(layer, spec.name) if supervised else "as was asked for"
    if not why:
        return _supervised(spec, stack)
    with globals_restored():
        entry, found = foreign_entry(layer, spec)
    return Subject(entry, run_case, found, why)


def _supervised(spec: SubjectSpec, stack: ExitStack) -> Subject:
    """The subject of a spec in a child process, which ends with the stack."""
    child = stack.enter_context(Supervisor(spec))
    return Subject(child.entry, child.run, child.found)


def _report(subject: Subject, asked: Asked, progress: Progress | None) -> Report:
    started = time.perf_counter()
    entry = replace(subject.entry, waivers={**subject.entry.waivers, **asked.waive})
    targets = list(_targets(entry, asked))
    found: list[Cell] = []
    explained: set[str] = set()
    for number, target in enumerate(targets):
        left = asked.seconds - (time.perf_counter() - started)
        share = left / (len(targets) - number)
        found.append(_judge(target, asked, subject.run, share, explained))
        explained.update(failure.cause for failure in found[-1].failures if failure.when)
        if progress is not None:
            progress(found[-1], len(targets) - number - 1)
    missing = [
        NotApplicable(entry.row.name, prop.name, prop.missing(entry))
        for prop in asked.chosen
        if prop.missing(entry)
    ]
    seconds = time.perf_counter() - started
    summary = Summary(tuple(found), tuple(missing), seconds, provenance(layer=entry.name))
    return Report(
        entry.name,
        entry.row.name,
        asked.contract,
        summary,
        subject.unsupervised,
        subject.found,
        {clause.value: reason for clause, reason in asked.waive.items()},
    )


def lenient(entry: Entry) -> Entry:
    """The same without the cases that only the contract promises to handle."""
    waived = dict.fromkeys(Clause, "no part of the verdict")
    return replace(entry, waivers={**waived, **entry.waivers})


def _targets(entry: Entry, asked: Asked) -> Iterator[Target]:
    """The campaigns, property by property. Where the contract does not decide, correctness is asked
    without the cases that only the contract promises to handle.
    """
    for prop in asked.chosen:
        decides = asked.contract or prop.decides is Decides.CONTRACT
        judged = entry if decides or prop.missing(lenient(entry)) else lenient(entry)
        if not prop.missing(judged):
            for device in asked.devices:
                yield from (Target(judged, prop, device, dtype) for dtype in asked.dtypes)


def _failures(
    found: list[Discrepancy], target: Target, asked: Asked, run: Run, explained: Collection[str]
) -> list[Failure]:
    """The failures with their case files, and when each of them happens unless its cause has been
    `explained` already.
    """
    failures = [failure_of(d, save_case(d, asked.cases)) for d in found]
    decides = asked.contract or target.prop.decides is Decides.CORRECTNESS
    new = decides and any(failure.cause not in explained for failure in failures)
    # A death costs the start of a process, and a budget of time is for the verdict.
    if not new or asked.seconds < math.inf or any(d.finding.kind == "died" for d in found):
        return failures
    surveyed = survey(
        target.entry,
        target.prop,
        device=target.device,
        dtype=target.dtype,
        settings=asked.settings,
        run=run,
    )
    return [
        replace(failure, when=surveyed.when(d.cause), failed=len(surveyed.failed.get(d.cause, ())))
        for failure, d in zip(failures, found, strict=True)
    ]


def _judge(
    target: Target, asked: Asked, run: Run, seconds: float, explained: Collection[str]
) -> Cell:
    reason = absent(target.device)
    if reason is None and seconds <= 0:
        reason = "out of time"
    if reason is not None:
        return Cell(*target.names(), Result.NOT_EXERCISED, reason)
    tally, failures, broken = Tally(), list[Failure](), ""
    with catalogue.added(target.entry):
        try:
            hunt(
                target.entry,
                target.prop,
                device=target.device,
                dtype=target.dtype,
                tally=tally,
                settings=asked.settings,
                run=run,
                seconds=seconds,
            )
        except Exception as error:
            failures = _failures(list(discrepancies(error)), target, asked, run, explained)
            # What is no discrepancy is a fault of the suite: the other properties go on.
            broken = "" if failures else f"{type(error).__name__}: {error}"
    result, reason = Result.PASSED, tally.nothing_judged() or tally.stopped
    if failures:
        result = Result.FAILED
    elif broken:
        result, reason = Result.NO_VERDICT, broken.splitlines()[0]
    elif tally.nothing_judged():
        result = Result.NOT_EXERCISED
    return Cell(*target.names(), result, reason, tuple(failures), **tally.to_dict())
