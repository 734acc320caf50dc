"""Find out how a foreign subject is built and driven, by trying.

A few cases of its kind are drawn, and the first driver is taken whose output is the true one; where
none is, the one that comes nearest, so that a wrong layer is driven as it was meant. What a subject
does not take (a pair for two axes, a name, None, no bias) is left out of its cases, and said.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradcheck.subjects import Subject
from verification.cases import Case, Role
from verification.references.row import Row, Trait
from verification.subjects.driving import Driver, drivers, held_by_constants
from verification.subjects.functional import Call, FunctionPair
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
from verification.subjects.trying import (
    CASES,
    FEW,
    Kind,
    axes_of,
    build,
    distance,
    raises,
    sample,
    trial_of,
)
from verification.trials.trial import Trial

MOST_ORDERS = 24
"""How many orders of axes are tried for all parameters of one layer together."""

MOST_VALUES = 4
"""How many values are tried for an argument that a subject does not take."""

NOTHING = Probed()
"""No layer to be judged against."""

OPTIONAL = ("bias", "affine", "elementwise_affine")
"""Arguments of the kind that say whether there are parameters."""

_FUNCTION_ORDERS: Mapping[int, tuple[Axes, ...]] = {
    2: ((0, 1), (1, 0)),
    4: ((0, 1, 2, 3), (2, 3, 1, 0), (1, 0, 2, 3), (2, 3, 0, 1)),
}
"""Orders of axes that functions take weights in: out x in x height x width, HWIO, IOHW, HWOI."""


def probe(
    loaded: Loaded,
    row: Row,
    told: Adapter,
    common: Probed = NOTHING,
    *,
    careful: bool = False,
) -> tuple[Driver, Probed]:
    """How to build and drive a subject of a kind, and what it takes part in. A subject that may end
    its process is probed `careful`ly: it is built, and not called. `common` is what the layer that
    it is judged against takes part in.

    Raises:
        SubjectError: it cannot be built from the kind's arguments, or cannot be driven.
    """
    kind = Kind.of(row)
    held = held_by_constants(dict(told.kwargs), kind.parameters, dict(told.rename))
    held = dict(common.fixed) | held | dict(told.hold)
    candidates = list(drivers(loaded, row, kind.tensors, told))
    single = (
        *common.one_number,
        *told.one_number,
        *kind.tuples_among(candidates[0].matching.single),
    )
    found = replace(
        common,
        digest=digest_of(loaded),
        source=source_of(loaded),
        fixed=tuple(held.items()),
        one_number=tuple(dict.fromkeys(single)),
        axes=told.axes or common.axes,
    )
    found = _with_fixed(found, kind, candidates[0])
    found = _without_what_is_missing(candidates, found, kind)
    if careful:
        note = "probed without a call, in which it died"
        return candidates[0], replace(found, driven=candidates[0].way, notes=(note,))
    arguments = _asked_for(candidates, found, kind)
    if arguments:
        candidates = [candidate.asking(arguments) for candidate in candidates]
        found = _with_fixed(found, kind, candidates[0])
    driver, case = _nearest(candidates, found, kind, loaded)
    found = _assumed(driver, found, kind, held)
    axes = found.axes or _axes(driver, kind.plain(found))
    found = _restricted(driver, replace(found, axes=axes), kind)
    subject = build(driver, case)
    found = replace(
        found,
        offers=tuple(sorted(subject.offers)),
        silent=_silent(subject, trial_of(case, kind.plain(found))),
        driven=driver.way,
    )
    return driver, replace(found, notes=(*driver.notes, *_sentences(found, kind, held)))


def _with_fixed(found: Probed, kind: Kind, driver: Driver) -> Probed:
    """Arguments that the subject does not take are held at the kind's defaults."""
    defaults = {
        name: default for name, default in kind.defaults.items() if name not in driver.taken
    }
    return replace(found, fixed=tuple((defaults | dict(found.fixed)).items()))


def _without_what_is_missing(candidates: Sequence[Driver], found: Probed, kind: Kind) -> Probed:
    """Leave out the parameters that a subject turns out not to have, where it does not take the
    argument that says whether it has them; and let it be told its mode, if it can be.
    """
    case = kind.telling(found)[0]
    for driver in candidates:
        try:
            subject = build(driver, case)
        except Exception:  # another candidate may do; the last word is said below
            continue
        fixed = dict(found.fixed)
        names = [spec.name for spec in case.of_role(Role.PARAMETER)]
        flags = [f for f in OPTIONAL if f in fixed and f not in driver.taken]
        if flags and not all(_has(subject, name) for name in names):
            fixed[flags[0]] = False
        if getattr(subject, "takes_training", False):
            fixed.pop("training", None)
        return replace(found, fixed=tuple(fixed.items()))
    return found


def _has(subject: Any, parameter: str) -> bool:
    return not hasattr(subject, "shape") or subject.shape(parameter) is not None


def _asked_for(candidates: Sequence[Driver], found: Probed, kind: Kind) -> tuple[str, ...]:
    """The arguments that a function asks its dict of arguments for, forward and backward."""
    call = candidates[0].matching
    if not isinstance(call, Call) or call.options is None:
        return ()
    defaults = {n: d for n, d in kind.defaults.items() if d is not None or n not in kind.given}
    plainest = replace(found, fixed=tuple((defaults | dict(found.fixed)).items()))
    trial = trial_of(kind.telling(plainest)[0], kind.plain(plainest))
    for driver in candidates:
        try:
            subject = build(driver, trial.case)
            if not isinstance(subject, FunctionPair):
                return ()
            subject.forward(trial.inputs, trial.parameters)
            subject.vjp(trial.cotangents)
        except Exception:  # as above
            continue
        return subject.asked
    return ()


def _nearest(
    candidates: Sequence[Driver], found: Probed, kind: Kind, loaded: Loaded
) -> tuple[Driver, Case]:
    """The first driver whose outputs are true, else the one whose outputs are nearest to it; with
    the case that told so.
    """
    cases = kind.telling(found)
    trials = [trial_of(case, kind.plain(found)) for case in cases]
    first_error: Exception | None = None
    for trial in trials:
        best: tuple[tuple[bool, bool, int, int, float], Driver] | None = None
        for number, candidate in enumerate(candidates):
            for driver in _in_every_order(candidate, trial.case):
                try:
                    off = distance(build(driver, trial.case), trial)
                except Exception as error:
                    first_error = first_error or error
                    continue
                # One case may be true by chance, where sizes are equal.
                wrong = sum(map(functools.partial(_is_wrong, driver), trials)) if off == 0 else 0
                if off == 0 and not wrong:
                    return driver, trial.case
                # Another form of call must be right to be preferred, another order of axes nearer.
                rank = off == math.inf, off != 0, number, wrong, off
                if best is None or rank < best[0]:
                    best = rank, driver
        if best is not None:
            return best[1], trial.case
    if isinstance(first_error, SubjectError):
        raise first_error
    raise SubjectError(
        f"{importable_name(loaded)} cannot be built as {cases[0].layer}:"
        f" {type(first_error).__name__}: {first_error}"
    ) from first_error


def _is_wrong(driver: Driver, trial: Trial) -> bool:
    """Whether an output is not the true one; an error says nothing of that."""
    try:
        return distance(build(driver, trial.case), trial) > 0
    except Exception:
        return False


def _in_every_order(driver: Driver, case: Case) -> Iterator[Driver]:
    """The driver with every order of axes in which the subject may hold its parameters."""
    try:
        subject: Any = build(driver, case)
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


def _assumed(driver: Driver, found: Probed, kind: Kind, held: Mapping[str, Any]) -> Probed:
    """What a subject silently assumes where it is not told: a sum and not a mean, the last axis.
    An argument that it does not take is held at another value than the default if all is right
    then, and not with the default.
    """
    if _all_true(driver, kind.plain(found)):
        return found
    for argument in dict(found.fixed):
        values = [] if argument in held else kind.values.get(argument, [])
        for value in values[:MOST_VALUES]:
            other = replace(found, fixed=tuple((dict(found.fixed) | {argument: value}).items()))
            if _all_true(driver, kind.plain(other)):
                return other
    return found


def _all_true(driver: Driver, row: Row) -> bool:
    try:
        cases = sample(row, FEW)
        return bool(cases) and not any(
            distance(build(driver, case), trial_of(case, row)) for case in cases
        )
    except Exception:  # a value that the subject's kind does not draw, or that raises
        return False


def _axes(driver: Driver, row: Row) -> tuple[int, ...]:
    """How many axes an input may have, where some numbers of them fail loudly and others do not."""
    failed: dict[int, list[bool]] = {}
    for case in sample(row, CASES):
        ended = raises(driver, trial_of(case, row), backward=True)
        failed.setdefault(axes_of(case), []).append(ended)
    if all(map(any, failed.values())):
        return ()
    # Where sizes of 1 happen to fit, a case of too many axes may pass.
    taken = [axes for axes, ends in failed.items() if 2 * sum(ends) <= len(ends)]
    return tuple(sorted(taken)) if len(taken) < len(failed) else ()


def _restricted(driver: Driver, found: Probed, kind: Kind) -> Probed:
    """What the subject does not take, seen from cases that all fail loudly."""

    def fails(free: Probed, has_form: Callable[[Any], bool], argument: str) -> bool:
        row = free.row(kind.row)
        drawn = sample(row, FEW)
        tried = [case for case in drawn if has_form(case.layer.kwargs.get(argument))]
        return bool(tried) and all(raises(driver, trial_of(case, row)) for case in tried)

    forms: Sequence[tuple[str, Callable[[Any], bool]]] = (
        ("one_number", lambda value: isinstance(value, tuple)),
        ("unnamed", lambda value: isinstance(value, str)),
        ("given", lambda value: value is None),
    )
    plain = kind.held_plain(found)
    for form, has_form in forms:
        for argument in getattr(kind, form):
            free = tuple(name for name in getattr(plain, form) if name != argument)
            held = argument in dict(found.fixed) or argument in getattr(found, form)
            if not held and fails(_with_form(plain, form, free), has_form, argument):
                found = _with_form(found, form, (*getattr(found, form), argument))
    for flag in OPTIONAL:
        is_free = flag in kind.parameters and flag not in dict(found.fixed)
        if is_free and fails(plain, lambda value: value is False, flag):
            found = replace(found, fixed=(*found.fixed, (flag, True)))
    return found


def _with_form(found: Probed, form: str, arguments: tuple[str, ...]) -> Probed:
    match form:
        case "one_number":
            return replace(found, one_number=arguments)
        case "unnamed":
            return replace(found, unnamed=arguments)
        case _:
            return replace(found, given=arguments)


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


def _sentences(found: Probed, kind: Kind, held: Mapping[str, Any]) -> Iterator[str]:
    fixed = ((name, value) for name, value in found.fixed if name not in held)
    left = [f"{name}={value!r}" for name, value in fixed if name in kind.values]
    if left:
        yield f"not taken, and left at: {', '.join(left)}"
    for arguments, how in (
        (found.one_number, "as one number for all axes only"),
        (found.unnamed, "as numbers only, by no name"),
        (found.given, "only where given, not as None"),
    ):
        if arguments:
            yield f"taken {how}: {', '.join(arguments)}"
    if found.axes:
        yield f"inputs of {' or '.join(map(str, found.axes))} axes only"
    for name in found.silent:
        yield f"the gradient of {name} is not returned, and not judged"
