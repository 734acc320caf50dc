"""`verification.check`: every property that applies to one hand-written layer, and a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy

from verification.cases import SubjectSpec
from verification.references.clauses import Clause
from verification.report.verdict import Report
from verification.running.functions import Function, Line, Said
from verification.running.judging import CASES, Asked, Progress, Subject, judged
from verification.running.selection import require_known
from verification.running.supervisor import Supervisor
from verification.strategies.geometry import Geometry, Limits
from verification.subjects.driving.told import Adapter
from verification.subjects.foreign import foreign_entry, kind_named
from verification.subjects.loading import (
    AT_HAND,
    Loaded,
    importable_name,
    load,
    named,
    why_not_importable,
)
from verification.trials.guards import globals_restored
from verification.trials.run_case import run_case


def check(
    layer: Loaded | str,
    *,
    like: object = None,
    inputs: Mapping[str, Line] | None = None,
    where: str = "",
    settings: Mapping[str, Sequence[Any]] | None = None,
    batch: str | None = None,
    same: Collection[str] = (),
    constant: Collection[str] = (),
    derivative_of: Function | None = None,
    vjp: Function | None = None,
    scaled_by: float | None = None,
    approximate: float | None = None,
    stochastic: Function | None = None,
    reference: Function | None = None,
    name: str | None = None,
    against: Function | None = None,
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
    cases: Path | str = CASES,
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
        inputs: one line for each tensor: {"x": "n c h w", "labels": "n labels(c)"}, or its axes
            with a function (sizes, generator) -> tensor: ("b+1", offsets). None where the signature
            is annotated: Float[Tensor, "n c h w"].
        where: a relation between extents: "k <= h".
        settings: for each argument that is no tensor, the values that it takes in turn.
        batch: the extent that counts samples which do not see each other.
        same: extents that may not change from one call to the next.
        constant: inputs that have no gradient by contract.
        derivative_of: the function whose derivative the backward is, not its own forward's.
        vjp: the rule (*inputs, *cotangents) -> gradients of a backward that is not linear.
        scaled_by: the factor between the backward and the derivative.
        approximate: how far the backward may be off, as a share of its largest entry.
        stochastic: the mean of the function over draws, whose derivative is the backward's mean.
        reference: other code for the same map, whose results count as true.
        name: by which a replay finds the layer again; its own where none is given.
        against: another layer of the kind, whose results count as true: the one that is to be
            replaced.
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
        ValueError: a property, device, dtype or clause is unknown, a number makes no sense, or what
            is said would not count: inputs beside like, hold without it.
    """
    asked = Asked(
        properties, devices, dtypes, examples, seconds, contract, waivers(waive or {}), Path(cases)
    )
    declared = derivative_of, vjp, scaled_by, approximate, stochastic, reference
    described = Said(inputs, where, settings, batch, same, constant, *declared)
    told = Adapter.said(
        kwargs=kwargs,
        hold=hold,
        one_number=one_number,
        axes=axes,
        rename=rename,
        layout=layout,
        held=held,
        against=named(against),
        backward=backward,
    )
    if like is None:
        _require_unsaid(told, "with like, the kind of the layer")
        spec = described.spec(layer, name)
    else:
        _require_unsaid(replace(described, reference=None), "without like: the kind knows it")
        told = replace(told, against=told.against or named(reference))
        spec = spec_told(layer, like, told, name)
    with ExitStack() as stack:
        subject = subject_of(layer, spec, supervised, stack)
        if geometries is not None:
            row = replace(subject.entry.row, geometries=geometries)
            subject = replace(subject, entry=replace(subject.entry, row=row))
        return judged(subject, asked, progress)


def _require_unsaid(facts: Said | Adapter, way: str) -> None:
    """Raise ValueError for what was said and would not count; `way` is the one in which it does."""
    values = {each.name: getattr(facts, each.name) for each in fields(facts)}
    stray = [name for name, value in values.items() if value or value == 0]
    if stray:
        raise ValueError(f"{', '.join(stray)} can be said only {way}")


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


def subject_of(
    layer: Loaded | str, spec: SubjectSpec, supervised: bool, stack: ExitStack
) -> Subject:
    """The subject, in a child process that ends with the stack where that is wanted and can be."""
    why = _only_here(spec) if supervised else "as was asked for"
    if isinstance(layer, str):
        if not why:
            return _supervised(spec, stack)
        layer = load(layer)
    why = why or why_not_importable(layer, spec.name)
    if not why:
        return _supervised(spec, stack)
    with globals_restored():
        entry, found = foreign_entry(layer, spec)
    return Subject(entry, run_case, found, why)


def _only_here(spec: SubjectSpec) -> str:
    """Why no other process finds a function that its user told of; empty if one finds them all."""
    told = [value for _, value in (*spec.declared, *spec.adapter)]
    told += [line.rpartition(" ")[2] for _, line in spec.inputs]
    return next((f"{name} cannot be imported by its name" for name in told if name in AT_HAND), "")


def _supervised(spec: SubjectSpec, stack: ExitStack) -> Subject:
    """The subject of a spec in a child process, which ends with the stack."""
    child = stack.enter_context(Supervisor(spec))
    return Subject(child.entry, child.run, child.found)
