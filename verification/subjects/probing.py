"""Find out how a foreign subject is built and driven, by trying.

A few cases of its kind are drawn, and the first driver is taken whose output is the true one; where
none is, the one that comes nearest, so that a wrong layer is driven as it was meant. What a subject
does not take (a pair for two axes, a name, no bias) is left out of its cases, and said.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import hypothesis
import torch
from hypothesis import HealthCheck, Phase, given

from gradcheck.subjects import Subject
from verification.cases import Case, LayerCall, Role
from verification.references.clauses import Clause
from verification.references.row import Row, Trait
from verification.strategies.cases import ordinary
from verification.strategies.geometry import SMALL
from verification.subjects.driving import Driver, drivers, held_by_constants
from verification.subjects.entry import Entry
from verification.subjects.functional import FunctionPair
from verification.subjects.loading import (
    Loaded,
    SubjectError,
    digest_of,
    importable_name,
    source_of,
)
from verification.subjects.probed import Probed
from verification.subjects.told import Adapter
from verification.subjects.translation import Axes, orders
from verification.trials.trial import Trial

CASES = 30
"""How many cases are drawn to find one whose sizes differ."""

FEW = 8
"""How many cases are drawn to see whether an argument is taken in one form."""

MOST_ORDERS = 24
"""How many orders of axes are tried for all parameters of one layer together."""

OPTIONAL = ("bias", "affine", "elementwise_affine")
"""Arguments of the kind that say whether there are parameters."""

_FUNCTION_ORDERS: Mapping[int, tuple[Axes, ...]] = {
    2: ((0, 1), (1, 0)),
    4: ((0, 1, 2, 3), (2, 3, 1, 0), (1, 0, 2, 3), (2, 3, 0, 1)),
}
"""Orders of axes that functions take weights in: out x in x height x width, HWIO, IOHW, HWOI."""


def probe(
    loaded: Loaded, kind: Row, told: Adapter, *, careful: bool = False
) -> tuple[Driver, Probed]:
    """How to build and drive a subject of a kind, and what it takes part in. A subject that may end
    its process is probed `careful`ly: it is built, and not called.

    Raises:
        SubjectError: it cannot be built from the kind's arguments, or cannot be driven.
    """
    held = held_by_constants(dict(told.kwargs), kind.signature.parameters, dict(told.rename))
    found = Probed(digest_of(loaded), source_of(loaded), fixed=tuple(held.items()))
    candidates = _candidates(loaded, kind, told)
    found = _with_fixed(found, kind, candidates[0])
    found = _without_what_is_missing(candidates, found, kind)
    if careful:
        return candidates[0], replace(found, notes=("probed without a call, in which it died",))
    arguments = _asked_for(candidates, found, kind)
    candidates = [candidate.asking(arguments) for candidate in candidates]
    found = _with_fixed(found, kind, candidates[0])
    number, driver, case = _nearest(candidates, _plain(found, kind), loaded)
    found = _restricted(driver, replace(found, axes=_axes(driver, _plain(found, kind))), kind)
    subject = _build(driver, case)
    found = replace(
        found,
        offers=tuple(sorted(subject.offers)),
        silent=_silent(subject, _trial(case, _plain(found, kind))),
        driven=(number, tuple(driver.translation.axes.items()), arguments),
    )
    return driver, replace(found, notes=(*driver.notes, *_sentences(found, held)))


def probed_driver(loaded: Loaded, kind: Row, told: Adapter, found: Probed) -> Driver:
    """The driver that was found before, without another look."""
    number, axes, arguments = found.driven
    return _candidates(loaded, kind, told)[number].asking(arguments).with_axes(dict(axes))


def _candidates(loaded: Loaded, kind: Row, told: Adapter) -> list[Driver]:
    return list(drivers(loaded, kind, _tensor_names(_cases(_plain(Probed(), kind), CASES)), told))


def _plain(found: Probed, kind: Row) -> Row:
    """The row with one number for all axes, and no names: what every subject takes."""
    return _held_plain(found, kind).row(kind)


def _held_plain(found: Probed, kind: Row) -> Probed:
    return replace(found, one_number=tuple(kind.signature.parameters), unnamed=_numbers(kind))


def _numbers(kind: Row) -> tuple[str, ...]:
    """The arguments that may be numbers; what is a name by default is always one."""
    parameters = kind.signature.parameters.items()
    return tuple(name for name, p in parameters if not isinstance(p.default, str))


def _cases(row: Row, count: int) -> list[Case]:
    """The first cases of ordinary numbers that Hypothesis draws, the same every time."""
    entry = Entry("a subject", row, _never, waivers=dict.fromkeys(Clause, "only being right"))
    ordinary_cases = ordinary(
        integers=False, layouts=("contiguous",), limits=SMALL, empty_batch=False
    )
    drawn: list[Case] = []

    @hypothesis.settings(
        max_examples=count,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(ordinary_cases(entry, "forward_matches_reference", "cpu", "float32"))
    def draw(case: Case) -> None:
        drawn.append(case)

    draw()
    return drawn


def _never(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    raise RuntimeError(f"{call} is not built to draw its cases")


def _tensor_names(cases: Sequence[Case]) -> tuple[str, ...]:
    """The names of the inputs and then of the parameters that the cases have."""
    named = {spec.name: spec.role for case in cases for spec in case.tensors}
    wanted = (Role.INPUT, Role.PARAMETER)
    return tuple(name for role in wanted for name, its in named.items() if its is role)


def _telling(row: Row) -> list[Case]:
    """For every number of axes that an input may have the case whose sizes differ most: it shows
    which axis is which. Those that differ most of all come first.
    """

    def differing(case: Case) -> tuple[int, int]:
        shapes = [spec.shape for spec in case.tensors if spec.shape]
        several = sum(shape[0] > 1 for shape in shapes)
        return len({size for shape in shapes for size in shape if size > 1}), several

    ordered = sorted(_cases(row, CASES), key=differing, reverse=True)
    best: dict[int, Case] = {}
    for case in ordered:
        best.setdefault(_axes_of(case), case)
    return list(best.values())


def _axes_of(case: Case) -> int:
    return len(case.of_role(Role.INPUT)[0].shape or ())


def _trial(case: Case, row: Row) -> Trial:
    return Trial(case, Entry("a subject", row, _never))


def _build(driver: Driver, case: Case) -> Subject:
    return driver(case.layer, getattr(torch, case.dtype), torch.device(case.device))


def _with_fixed(found: Probed, kind: Row, driver: Driver) -> Probed:
    """Arguments that the subject does not take are held at the kind's defaults."""
    defaults = {
        name: parameter.default
        for name, parameter in kind.signature.parameters.items()
        if name not in driver.taken and parameter.default is not parameter.empty
    }
    return replace(found, fixed=tuple((defaults | dict(found.fixed)).items()))


def _without_what_is_missing(candidates: Sequence[Driver], found: Probed, kind: Row) -> Probed:
    """Leave out the parameters that a subject turns out not to have, where it does not take the
    argument that says whether it has them.
    """
    case = _telling(_plain(found, kind))[0]
    for driver in candidates:
        try:
            subject = _build(driver, case)
        except Exception:  # another candidate may do; the last word is said below
            continue
        names = [spec.name for spec in case.of_role(Role.PARAMETER)]
        flags = [f for f in OPTIONAL if f in dict(found.fixed) and f not in driver.taken]
        if flags and not all(_has(subject, name) for name in names):
            return replace(found, fixed=tuple((dict(found.fixed) | {flags[0]: False}).items()))
        break
    return found


def _asked_for(candidates: Sequence[Driver], found: Probed, kind: Row) -> tuple[str, ...]:
    """The arguments that a function asks its dict of arguments for, forward and backward."""
    parameters = kind.signature.parameters.items()
    defaults = {name: p.default for name, p in parameters if p.default is not p.empty}
    plainest = replace(found, fixed=tuple((defaults | dict(found.fixed)).items()))
    trial = _trial(_telling(_plain(plainest, kind))[0], _plain(plainest, kind))
    for driver in candidates:
        try:
            subject = _build(driver, trial.case)
            if not isinstance(subject, FunctionPair):
                return ()
            subject.forward(trial.inputs, trial.parameters)
            subject.vjp(trial.cotangents)
        except Exception:  # as above
            continue
        return subject.asked
    return ()


def _has(subject: Any, parameter: str) -> bool:
    return not hasattr(subject, "shape") or subject.shape(parameter) is not None


def _nearest(candidates: Sequence[Driver], row: Row, loaded: Loaded) -> tuple[int, Driver, Case]:
    """The first driver whose output is true, else the one whose output is nearest to it; with the
    number of its candidate, and the case that told so.
    """
    cases = _telling(row)
    first_error: Exception | None = None
    for trial in (_trial(case, row) for case in cases):
        best: tuple[float, int, Driver] | None = None
        for number, candidate in enumerate(candidates):
            for driver in _in_every_order(candidate, trial.case):
                try:
                    distance = _distance(_build(driver, trial.case), trial)
                except Exception as error:
                    first_error = first_error or error
                    continue
                if distance == 0:
                    return number, driver, trial.case
                if best is None or distance < best[0]:
                    best = distance, number, driver
        if best is not None:
            return *best[1:], trial.case
    if isinstance(first_error, SubjectError):
        raise first_error
    raise SubjectError(
        f"{importable_name(loaded)} cannot be built as {cases[0].layer}:"
        f" {type(first_error).__name__}: {first_error}"
    ) from first_error


def _axes(driver: Driver, row: Row) -> tuple[int, ...]:
    """How many axes an input may have, where some numbers of them fail loudly and others do not."""
    raises: dict[int, list[bool]] = {}
    for case in _cases(row, CASES):
        failed = raises.setdefault(_axes_of(case), [])
        failed.append(_raises(driver, _trial(case, row), backward=True))
    if all(any(failed) for failed in raises.values()):
        return ()
    # Where sizes of 1 happen to fit, a case of too many axes may pass.
    taken = [axes for axes, failed in raises.items() if 2 * sum(failed) <= len(failed)]
    return tuple(sorted(taken)) if len(taken) < len(raises) else ()


def _in_every_order(driver: Driver, case: Case) -> Iterator[Driver]:
    """The driver with every order of axes in which the subject may hold its parameters."""
    try:
        subject: Any = _build(driver, case)
    except Exception:  # building it again will say so
        yield driver
        return
    told = dict(driver.told.layout)
    choices: dict[str, list[Axes]] = {}
    for spec in case.of_role(Role.PARAMETER):
        shape = spec.shape or ()
        if spec.name in told:
            continue
        own = subject.shape(spec.name) if hasattr(subject, "shape") else None
        fitting = _FUNCTION_ORDERS.get(len(shape), ()) if own is None else orders(shape, own)
        choices[spec.name] = list(fitting) or [tuple(range(len(shape)))]
    combined = itertools.islice(itertools.product(*choices.values()), MOST_ORDERS)
    for axes in combined:
        yield driver.with_axes(dict(zip(choices, axes, strict=True)))


def _distance(subject: Subject, trial: Trial) -> float:
    """How far the outputs are beyond the bounds of the true ones; infinite for another shape."""
    outputs = subject.forward(trial.inputs, trial.parameters)
    farthest = 0.0
    for name, truth in trial.true_outputs.items():
        got = outputs.get(name)
        if got is None or got.shape != truth.value.shape:
            return math.inf
        beyond = (got.detach().cpu().double() - truth.value).abs() - truth.error
        farthest = max(farthest, *beyond.clamp(min=0).flatten().tolist())
    return farthest


def _restricted(driver: Driver, found: Probed, kind: Row) -> Probed:
    """What the subject does not take, seen from cases that all fail loudly."""
    every, numbers = tuple(kind.signature.parameters), _numbers(kind)

    def fails(free: Probed, has_form: Callable[[Any], bool], argument: str) -> bool:
        drawn = _cases(free.row(kind), FEW)
        tried = [case for case in drawn if has_form(case.layer.kwargs.get(argument))]
        return bool(tried) and all(_raises(driver, _trial(case, free.row(kind))) for case in tried)

    for argument in every:
        if argument not in driver.taken or argument in dict(found.fixed):
            continue
        pairs = replace(found, one_number=_without(argument, every), unnamed=numbers)
        if fails(pairs, lambda value: isinstance(value, tuple), argument):
            found = replace(found, one_number=(*found.one_number, argument))
        names = replace(found, one_number=every, unnamed=_without(argument, numbers))
        if fails(names, lambda value: isinstance(value, str), argument):
            found = replace(found, unnamed=(*found.unnamed, argument))
        plain = _held_plain(found, kind)
        if argument in OPTIONAL and fails(plain, lambda value: value is False, argument):
            found = replace(found, fixed=(*found.fixed, (argument, True)))
    return found


def _without(argument: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name != argument)


def _raises(driver: Driver, trial: Trial, *, backward: bool = False) -> bool:
    try:
        subject = _build(driver, trial.case)
        subject.forward(trial.inputs, trial.parameters)
        if backward and trial.cotangents:
            subject.vjp(trial.cotangents)
    except Exception:
        return True
    return False


def _silent(subject: Subject, trial: Trial) -> tuple[str, ...]:
    """Inputs whose gradient a backward that works does not return."""
    if Trait.DIFFERENTIABLE not in trial.entry.row.traits:
        return ()
    try:
        subject.forward(trial.inputs, trial.parameters)
        gradients = subject.vjp(trial.cotangents)
    except Exception:  # the judge will say so
        return ()
    return tuple(n for n in trial.truth.gradients if n in trial.inputs and n not in gradients)


def _sentences(found: Probed, held: Mapping[str, Any]) -> Iterator[str]:
    left = [f"{name}={value!r}" for name, value in found.fixed if name not in held]
    if left:
        yield f"not taken, and left at: {', '.join(left)}"
    if found.one_number:
        yield f"taken as one number for all axes only: {', '.join(found.one_number)}"
    if found.unnamed:
        yield f"taken as numbers only, by no name: {', '.join(found.unnamed)}"
    if found.axes:
        yield f"inputs of {' or '.join(map(str, found.axes))} axes only: others raise"
    for name in found.silent:
        yield f"the gradient of {name} is not returned, and not judged"
