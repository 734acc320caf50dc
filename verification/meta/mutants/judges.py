"""What judges a mutant: the suite itself, and no unit test. Imported with the mutant in its place,
or before it.

A file of scratch_layers/ is judged by the campaigns of all layers. A file of gradcheck/ is judged
by what gradcheck promises; what outlives that, by campaigns, faults and functions, since every
bound of the suite comes from there: it is killed when a right layer alarms or a wrong one is
missed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from verification import catalogue
from verification.meta.faults import FAULTS
from verification.meta.functions import BANK, Judged
from verification.meta.gradients import PROMISES, Promise
from verification.meta.harness import first_failure
from verification.meta.right import RIGHT
from verification.properties import applicable
from verification.running.selection import DTYPES
from verification.running.simulated import hunt_here
from verification.subjects.entry import Entry

FEW, MANY = ROUNDS = 10, 100
"""Examples of every campaign: few at first, since most mutants fall at once, then those of `ci`."""

DERIVATIVES = "gradients_match_finite_differences"

LAYERS, GRADCHECK = "scratch_layers", "gradcheck"


@dataclass(frozen=True)
class Question:
    """One thing to ask of a source that may be a mutant: is anything seen to be wrong with it?
    rooms: the folders whose files it is asked of; late: those of which it is asked at the end.
    after: the same campaign with fewer examples, which is asked first.
    """

    name: str
    wrong: Callable[[], bool]
    rooms: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    after: str = ""


@functools.cache
def questions() -> dict[str, Question]:
    """All of them by name; those on the simulated device, which stays for good, come last."""
    every = (*_promises(), *_campaigns(), *_faults(), *_bank(), *_simulated())
    return {question.name: question for question in every}


def _promises() -> Iterator[Question]:
    for promise in PROMISES:
        yield Question(promise.name, functools.partial(_is_broken, promise), (GRADCHECK,))


def _is_broken(promise: Promise) -> bool:
    return bool(promise.broken())


def _campaigns() -> Iterator[Question]:
    """Right layers, which must not alarm: the shipped ones, and the loops, which are a file too."""
    loops = [entry for name, entry in RIGHT.items() if name.endswith("ByLoops")]
    for entry in (*catalogue.SHIPPED.values(), *loops):
        for prop, dtype in itertools.product(applicable(entry), DTYPES):
            if entry in loops and prop.name == DERIVATIVES:
                continue  # many runs of what is slow
            name = f"{entry.name} {prop.name} {dtype}"
            few, many = (functools.partial(_alarms, entry, prop.name, dtype, n) for n in ROUNDS)
            yield Question(name, few, (LAYERS,), late=(GRADCHECK,))
            yield Question(f"{name} {MANY}", many, (LAYERS,), after=name)


def _alarms(entry: Entry, name: str, dtype: str, examples: int) -> bool:
    return first_failure(entry, name, dtype=dtype, examples=examples) is not None


def _faults() -> Iterator[Question]:
    """Wrong layers, which must not be missed. Those that hide take more examples than these."""
    for fault in FAULTS.values():
        if not fault.layer.__module__.endswith(".hidden"):
            for name in fault.caught_by:
                missed = functools.partial(_misses, fault.entry, name)
                yield Question(f"misses {fault.name} {name}", missed, late=(GRADCHECK,))


def _misses(entry: Entry, name: str) -> bool:
    return first_failure(entry, name, examples=MANY) is None


def _bank() -> Iterator[Question]:
    """Functions of every kind that gradcheck takes, right and wrong."""
    for judged in BANK:
        errs = functools.partial(_errs, judged)
        yield Question(f"function {judged.name}", errs, late=(GRADCHECK,))


def _errs(judged: Judged) -> bool:
    found = next(judged.failures(FEW if judged.right else MANY, judged.caught_by), None)
    return (found is None) != judged.right


def _simulated() -> Iterator[Question]:
    for name in catalogue.SHIPPED:
        alarms = functools.partial(_alarms_on_simulated, name)
        after = f"{name} forward_matches_reference float32"
        yield Question(f"{name} on the simulated device", alarms, (LAYERS,), after=after)


def _alarms_on_simulated(name: str) -> bool:
    return bool(hunt_here([name], examples=3))
