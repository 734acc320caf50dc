"""Find out how a foreign subject is built and driven, by trying.

A few cases of its kind are drawn, and the first driver is taken whose output is the true one; where
none is, the one that comes nearest, so that a wrong layer is driven as it was meant. What a subject
does not take (a pair for two axes, a name, None, no bias) is left out of its cases, and said.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradcheck.subjects import Subject
from verification.cases import Case, Role
from verification.cases.subject_spec import Told
from verification.references.row import Row
from verification.subjects.driving.drivers import Driver, drivers, held_by_constants
from verification.subjects.driving.function_calls import Call
from verification.subjects.driving.functional import FunctionPair
from verification.subjects.driving.optimizers import OptimizerSubject
from verification.subjects.driving.told import Adapter
from verification.subjects.driving.translation import Axes, orders
from verification.subjects.loading import (
    Loaded,
    SubjectError,
    digest_of,
    importable_name,
    source_of,
)
from verification.subjects.probing.partaking import (
    OPTIONAL,
    limits,
    otherwise,
    part_of,
    sentences,
    silent,
)
from verification.subjects.probing.probed import Probed
from verification.subjects.probing.trying import FEW, Kind, build, distance, pulls_back, trial_of
from verification.subjects.trained import EARLIER
from verification.trials.trial import Trial

MOST_ORDERS = 24
"""How many orders of axes are tried for all parameters of one layer together."""

ALONE = (
    "autograd must differentiate a function alone: else name its backward too, FILE:f,f_backward"
)
"""What is said of a function of arrays."""

CALLS = 8
"""How many calls show whether a layer draws: each drops something or nothing."""

NOTHING = Probed()
"""No layer to be judged against."""

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
    kind.require_has(told)
    held = held_by_constants(dict(told.kwargs), kind.parameters, dict(told.rename))
    held = dict(common.fixed) | held | dict(told.hold)
    candidates = list(drivers(loaded, row, kind.inputs, kind.held, told))
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
    candidates = [candidate.without(found.absent) for candidate in candidates]
    if careful:
        note = "probed without a call, in which it died"
        return candidates[0], replace(found, driven=candidates[0].way, notes=(note,))
    arguments = _asked_for(candidates, found, kind)
    if arguments:
        candidates = [candidate.asking(arguments) for candidate in candidates]
        found = _with_fixed(found, kind, candidates[0])
    if _gives_other_results(candidates, found, kind):
        candidates = [replace(candidate, still=True) for candidate in candidates]
    driver, case, found = _driven(candidates, found, kind, loaded, held)
    found = part_of(driver, found, kind, held)
    subject = build(driver, case)
    found = replace(
        found,
        offers=tuple(sorted(subject.offers)),
        silent=silent(driver, found, kind),
        driven=(*driver.way, *_recipe(subject, trial_of(case, kind.plain(found)))),
    )
    notes = (*driver.notes, *sentences(found, kind, held))
    return driver, replace(found, notes=notes, limits=(*driver.limits, *limits(found, kind, held)))


def _recipe(subject: Subject, trial: Trial) -> Told:
    """How the calls of a layer with state go, as far as they do."""
    try:
        subject.forward(trial.inputs, trial.parameters)
        subject.vjp(trial.cotangents)
    except Exception:  # the judge will say so
        return ()
    recipe: Told = getattr(subject, "recipe", ())
    return recipe


def _driven(
    candidates: Sequence[Driver],
    found: Probed,
    kind: Kind,
    loaded: Loaded,
    held: Mapping[str, Any],
) -> tuple[Driver, Case, Probed]:
    """The driver, a case that it was found by, and what is then known: a subject that cannot be
    called as its kind is by default, or is wrong then, may want an input more.
    """
    others = (
        *_of_one_number(found, kind, candidates[0]),
        *(o for name in kind.deciding for o in otherwise(found, kind, held, name)),
    )
    first_error: SubjectError | None = None
    first: tuple[Driver, Case, Probed] | None = None
    for tried in (found, *others):
        trial = trial_of(kind.telling(tried)[0], kind.plain(tried))
        with_outputs = replace(tried, outputs=_returned(candidates, trial))
        try:
            driver, case, right = _nearest(candidates, with_outputs, kind, loaded)
        except SubjectError as error:
            first_error = first_error or error
            continue
        first = first or (driver, case, with_outputs)
        if right:
            return driver, case, with_outputs
    if first is None:
        assert first_error is not None
        raise first_error
    return first


def _of_one_number(found: Probed, kind: Kind, driver: Driver) -> Iterator[Probed]:
    """The same with one number for what the subject does not take, such as a shape to norm over."""
    names = kind.tuples_among([n for n in kind.values if n not in driver.taken])
    if names:
        yield replace(found, one_number=tuple(dict.fromkeys((*found.one_number, *names))))


def _gives_other_results(candidates: Sequence[Driver], found: Probed, kind: Kind) -> bool:
    """Whether a subject of a kind that knows no training draws while it trains: dropout, say."""
    trial = trial_of(kind.telling(found)[0], kind.plain(found))
    for driver in candidates if "training" not in kind.values else ():
        try:
            subject = build(driver, trial.case)
            first, *more = (subject.forward(trial.inputs, trial.parameters) for _ in range(CALLS))
        except Exception:  # another candidate may do
            continue
        takes_training = getattr(subject, "takes_training", False)
        return takes_training and any(not torch.equal(first[n], y[n]) for y in more for n in first)
    return False


def _returned(candidates: Sequence[Driver], trial: Trial) -> tuple[str, ...]:
    """Which of the kind's outputs a subject returns, if not all."""
    known = [spec.name for spec in trial.case.of_role(Role.COTANGENT)]
    tried = (d for each in candidates for d in _in_every_order(each, trial.case))
    for driver in tried if len(known) > 1 else ():
        try:
            outputs = build(driver, trial.case).forward(trial.inputs, trial.parameters)
        except Exception:  # another candidate may do; the last word is said below
            continue
        return tuple(name for name in known if name in outputs) if len(outputs) < len(known) else ()
    return ()


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
        absent = tuple(
            name
            for name in names
            if name.startswith(kind.row.spare) and not _has(driver, subject, name)
        )
        flags = [f for f in OPTIONAL if f in fixed and f not in driver.taken]
        if flags and not all(_has(driver, subject, n) for n in names if n not in absent):
            fixed[flags[0]] = False
        if getattr(subject, "takes_training", False):
            fixed.pop("training", None)
        elif not hasattr(subject, "train") and "training" in kind.defaults:
            specs = [spec for case in kind.telling(found) for spec in case.tensors]
            learns = any(spec.name.startswith(EARLIER) for spec in specs)
            if learns or "training" not in driver.taken:
                fixed["training"] = True  # a function keeps nothing of what it was trained on
        return replace(found, fixed=tuple(fixed.items()), absent=absent)
    return found


def _has(driver: Driver, subject: Any, parameter: str) -> bool:
    if isinstance(driver.matching, Call):
        return parameter in driver.matching.tensors.values()
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
            if not isinstance(subject, (FunctionPair, OptimizerSubject)):
                return ()
            subject.forward(trial.inputs, trial.parameters)
            if trial.cotangents:
                subject.vjp(trial.cotangents)
        except Exception:  # as above
            continue
        return subject.asked
    return ()


def _nearest(
    candidates: Sequence[Driver], found: Probed, kind: Kind, loaded: Loaded
) -> tuple[Driver, Case, bool]:
    """The first driver whose outputs are true, else the one whose outputs are nearest to it; with
    the case that told so, and whether no other case tells against it.

    An input may have several numbers of axes, and a subject take only one of them: so the first
    case of each is tried before a driver is taken that is right with none.
    """
    cases = kind.telling(found)
    trials = [trial_of(case, kind.plain(found)) for case in cases]
    first_error: Exception | None = None
    best: tuple[tuple[bool, bool, bool, int, int, float], Driver, Case] | None = None
    for place, trial in enumerate(trials):
        known = best is not None and (not best[0][0] or place >= FEW)
        if known and place >= len(kind.axes):
            break
        for number, candidate in enumerate(candidates):
            if not candidate.differs(trial.inputs):
                continue
            for driver in _in_every_order(candidate, trial.case):
                try:
                    subject = build(driver, trial.case)
                    off = distance(subject, trial)
                except Exception as error:
                    first_error = first_error or error
                    continue
                # One case may be true by chance, where sizes are equal.
                wrong = sum(map(functools.partial(_is_wrong, driver), trials)) if off == 0 else 0
                stuck = off == 0 and not pulls_back(subject, trial)
                if off == 0 and not wrong and not stuck and not driver.alone:
                    return driver, trial.case, True
                # Another form of call must be right to be preferred, another order of axes nearer.
                rank = off == math.inf, off != 0, stuck, number, wrong, off
                if best is None or rank < best[0]:
                    best = rank, driver, trial.case
    if best is not None:
        (_, off, stuck, _, wrong, _), driver, case = best
        return driver, case, not (off or stuck or wrong)
    if isinstance(first_error, SubjectError):
        raise first_error
    alone = inspect.isroutine(loaded) and not isinstance(first_error, TypeError)
    advice = f"; {ALONE}" if alone else ""
    raise SubjectError(
        f"{importable_name(loaded)} cannot be built or called as {cases[0].layer}:"
        f" {type(first_error).__name__}: {first_error}{advice}"
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
