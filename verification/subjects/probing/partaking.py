"""What part a subject takes in its kind, once it can be driven: seen from cases that all fail
loudly, or that are all right. What it does not take is left out of its cases, and said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from verification.cases import Case
from verification.references.row import Row, Trait
from verification.subjects.driving.drivers import Driver
from verification.subjects.probing.probed import Probed
from verification.subjects.probing.trying import (
    CASES,
    FEW,
    MANY,
    Kind,
    axes_of,
    build,
    differing,
    distance,
    pulls_back,
    raises,
    sample,
    trial_of,
)
from verification.trials.trial import Trial

MOST_VALUES = 4
"""How many values are tried for an argument that a subject does not take."""

WRITTEN: Mapping[str, tuple[float, ...]] = {
    "eps": (1e-6, 1e-7, 1e-8, 1e-12),
    "negative_slope": (0.1, 0.2),
}
"""What hand-written code has where torch's default is another number."""

OPTIONAL = ("bias", "affine", "elementwise_affine")
"""Arguments of the kind that say whether there are parameters."""


def part_of(driver: Driver, found: Probed, kind: Kind, held: Mapping[str, Any]) -> Probed:
    """What is known with the numbers of axes, the silent assumptions and the forms that a subject
    takes; `held` are arguments whose values the user said.
    """
    if len(kind.axes) > 1 and not found.axes:
        found = replace(found, axes=_axes(driver, kind.plain(found)))
    found = _assumed(driver, found, kind, held)
    for argument in kind.deciding:
        found = _with_inputs(driver, found, kind, held, argument)
    return _restricted(driver, found, kind)


def otherwise(
    found: Probed, kind: Kind, held: Mapping[str, Any], argument: str
) -> Iterator[Probed]:
    """The same with other values for an argument that the subject does not take."""
    fixed = dict(found.fixed)
    # A mode is said by its user: outside of training a dropout is right that never drops. What
    # holds a number for each class would say how many classes there are.
    known = {*held, *kind.row.tensor_arguments, "training"}
    if argument in fixed and argument not in known:
        for value in (*kind.values.get(argument, [])[:MOST_VALUES], *WRITTEN.get(argument, ())):
            if value != fixed[argument]:
                yield replace(found, fixed=tuple((fixed | {argument: value}).items()))


def _assumed(driver: Driver, found: Probed, kind: Kind, held: Mapping[str, Any]) -> Probed:
    """What a subject silently assumes where it is not told: a sum and not a mean, the last axis.
    An argument that it does not take is held at another value than the default if all is right
    then, and not with the default.
    """
    if _all_true(driver, kind.plain(found)):
        return found
    for argument in dict(found.fixed):
        for other in otherwise(found, kind, held, argument):
            if _all_true(driver, kind.plain(other)):
                return other
    return found


def _with_inputs(
    driver: Driver, found: Probed, kind: Kind, held: Mapping[str, Any], argument: str
) -> Probed:
    """With the inputs that an argument decides on, where a subject is right when it is given them:
    free where it is right with all of its values, else held at the last that gives more.
    """
    others = list(otherwise(found, kind, held, argument))
    right = [other for other in others if _all_true(driver, kind.plain(other))]
    if not right:
        return found
    if len(right) < len(others) or not _all_true(driver, kind.plain(found)):
        return right[-1]
    fixed = ((name, value) for name, value in found.fixed if name != argument)
    return replace(found, fixed=tuple(fixed))


def _all_true(driver: Driver, row: Row) -> bool:
    try:
        cases = sample(row, FEW)
        return bool(cases) and not any(
            distance(build(driver, case), trial_of(case, row)) for case in cases
        )
    except Exception:  # a value that the subject's kind does not draw, or that raises
        return False


def _axes(driver: Driver, row: Row) -> tuple[int, ...]:
    """How many axes an input may have, where a subject is right with some numbers of them and fails
    loudly with others: in the cases whose sizes differ most, since where sizes are equal or 1 one
    may pass. With still more axes sizes may be too small to fail loudly; then being wrong counts.
    One that is wrong with any number takes those with which its forward never fails, if with the
    others it mostly does.
    """
    cases: dict[int, list[Case]] = {}
    for case in sorted(sample(row, MANY), key=differing, reverse=True):
        cases.setdefault(axes_of(case), []).append(case)
    off = {
        axes: [_off(driver, trial_of(case, row)) for case in each[:FEW]]
        for axes, each in cases.items()
    }
    loud = {axes: sum(forward == math.inf for forward, _ in each) for axes, each in off.items()}
    taken = [axes for axes, each in off.items() if 2 * sum(map(any, each)) <= len(each)]
    if all(any(map(any, each)) for each in off.values()):
        taken = [axes for axes in off if not loud[axes]]
        if any(2 * loud[axes] < len(off[axes]) for axes in off if axes not in taken):
            return ()
    fails = any(math.inf in pair for each in off.values() for pair in each)
    return tuple(sorted(taken)) if fails and 0 < len(taken) < len(cases) else ()


def _off(driver: Driver, trial: Trial) -> tuple[float, float]:
    """How far the outputs are off, and whether the backward is: infinite where the call raises or a
    result has another shape.
    """
    try:
        subject = build(driver, trial.case)
        off = distance(subject, trial)
    except Exception:
        return math.inf, math.inf
    return off, 0.0 if pulls_back(subject, trial) else math.inf


def _restricted(driver: Driver, found: Probed, kind: Kind) -> Probed:
    """What the subject does not take, seen from cases that all fail loudly."""

    def fails(free: Probed, has_form: Callable[[Any], bool], argument: str) -> bool:
        row = free.row(kind.row)
        drawn = (sample(row, count) for count in (CASES, MANY))
        formed = ([c for c in each if has_form(c.layer.kwargs.get(argument))] for each in drawn)
        tried = next(filter(None, formed), [])[:FEW]
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


def silent(driver: Driver, found: Probed, kind: Kind) -> tuple[str, ...]:
    """Inputs whose gradient a backward that works never returns. Where a subject may take them for
    given, a gradient of zeros counts as none: autograd has it for what was detached.
    """
    if Trait.DIFFERENTIABLE not in kind.row.traits:
        return ()
    row = kind.plain(found)
    came: dict[str, bool] = {}
    for case in kind.telling(found)[:FEW]:
        trial = trial_of(case, row)
        try:
            subject = build(driver, case)
            subject.forward(trial.inputs, trial.parameters)
            gradients = subject.vjp(trial.cotangents)
        except Exception:  # the judge will say so
            continue
        for name in (n for n in trial.truth.gradients if n in trial.inputs):
            there = name in gradients
            if there and name in row.constants:
                there = bool(gradients[name].any())
            came[name] = there or came.get(name, False)
    return tuple(name for name, there in came.items() if not there)


def sentences(found: Probed, kind: Kind, held: Mapping[str, Any]) -> Iterator[str]:
    """What was found of arguments, but for what the user said."""
    left = [f"{name}={value!r}" for name, value in _unsaid(found, kind, held, assumed=False)]
    if left:
        yield f"not taken, and left at: {', '.join(left)}"
    for arguments, how in (
        (found.one_number, "as one number for all axes only"),
        (found.unnamed, "as numbers only, by no name"),
        (found.given, "only where given, not as None"),
    ):
        if arguments:
            yield f"taken {how}: {', '.join(arguments)}"


def limits(found: Probed, kind: Kind, held: Mapping[str, Any]) -> Iterator[str]:
    """What the subject was found to leave out of its kind, to which a verdict on it is limited."""
    assumed = [f"{name}={value!r}" for name, value in _unsaid(found, kind, held, assumed=True)]
    if assumed:
        yield f"taken as {', '.join(assumed)}"
    if found.axes:
        yield f"inputs of {' or '.join(map(str, found.axes))} axes only"
    for name in found.absent:
        yield f"has no {name}, which counts as zero"
    if found.outputs:
        yield f"returns {', '.join(found.outputs)} alone"
    for name in found.silent:
        yield f"the gradient of {name} is not returned, and not judged"


def _unsaid(
    found: Probed, kind: Kind, held: Mapping[str, Any], *, assumed: bool
) -> Iterator[tuple[str, Any]]:
    """The arguments that nobody told of and that the subject does not take: those left at the
    kind's default, or those for which another value was found.
    """
    for name, value in found.fixed:
        differs = value != kind.defaults.get(name, value)
        if name in kind.values and name not in held and differs == assumed:
            yield name, value
