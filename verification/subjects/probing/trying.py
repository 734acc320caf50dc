"""What probing tries: the first cases of a kind, and how a subject fares with one of them."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradcheck.subjects import Subject
from verification.cases import Case, LayerCall, Role
from verification.references.clauses import Clause
from verification.references.laws.law import OUTPUT
from verification.references.row import Row
from verification.strategies.cases import ordinary
from verification.strategies.geometry import SMALL
from verification.subjects.driving.told import Adapter
from verification.subjects.entry import Build, Entry
from verification.subjects.loading import SubjectError
from verification.subjects.probing.probed import Probed
from verification.subjects.trained import EARLIER
from verification.trials.trial import Trial

CASES = 30
"""How many cases are drawn to find one whose sizes differ."""

MANY = 120
"""How many cases are drawn to find some whose sizes differ for every number of axes."""

FEW = 8
"""How many cases are drawn to see whether an argument is taken in one form."""


@dataclass(frozen=True)
class Kind:
    """A kind of layer as its first cases show it.

    inputs, held: the names of its inputs and of its parameters. values: what each argument may be.
    deciding: arguments that decide which inputs there are. axes: how many its first input may have.
    one_number, unnamed, given: arguments that may be a tuple beside a number, a name beside a
    number, None beside something.
    """

    row: Row
    inputs: tuple[str, ...]
    held: tuple[str, ...]
    values: Mapping[str, list[Any]]
    deciding: tuple[str, ...]
    axes: frozenset[int]
    one_number: tuple[str, ...]
    unnamed: tuple[str, ...]
    given: tuple[str, ...]

    @classmethod
    def of(cls, row: Row) -> Kind:
        """From a sample of the row's cases."""
        cases = sample(row, CASES)
        values: dict[str, list[Any]] = {}
        for name, value in (pair for case in cases for pair in case.layer.arguments):
            known = values.setdefault(name, [])
            if value not in known:
                known.append(value)

        def mixed(form: Callable[[Any], bool]) -> tuple[str, ...]:
            return tuple(
                n for n, v in values.items() if any(map(form, v)) and not all(map(form, v))
            )

        return cls(
            row,
            _names(cases, Role.INPUT),
            _names(cases, Role.PARAMETER),
            values,
            tuple(name for name in values if _decides(name, cases)),
            frozenset(map(axes_of, cases)),
            tuple(
                name
                for name in mixed(lambda value: isinstance(value, tuple))
                if name not in row.tensor_arguments
            ),
            mixed(lambda value: isinstance(value, str)),
            mixed(lambda value: value is None),
        )

    def require_has(self, told: Adapter) -> None:
        """Raise SubjectError for what a user told of a subject and this kind has not."""
        arguments = [name for name in self.parameters if name != "params"]
        told.require_known(self.row.name, arguments, (*self.inputs, *self.held, OUTPUT))
        drawn = {axes_of(case) for case in sample(self.row, MANY)} if told.axes else set()
        if told.axes and not drawn & {*told.axes}:
            raise SubjectError(
                f"axes is {' or '.join(map(str, told.axes))}: inputs of {self.row.name} have"
                f" {' or '.join(map(str, sorted(drawn)))}"
            )

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The arguments of the kind's constructor."""
        return self.row.signature.parameters

    def tuples_among(self, arguments: Sequence[str]) -> list[str]:
        """Those that may be a tuple."""
        return [
            name
            for name in arguments
            if any(isinstance(value, tuple) for value in self.values.get(name, []))
        ]

    @property
    def defaults(self) -> dict[str, Any]:
        """What they are where nobody says otherwise; a layer trains unless it is told."""
        found = {
            name: parameter.default
            for name, parameter in self.parameters.items()
            if parameter.default is not parameter.empty
        }
        return found | ({"training": True} if "training" in self.values else {})

    def held_plain(self, found: Probed) -> Probed:
        """With one number for all axes, no names and no None: what every subject takes."""
        one_number = tuple(dict.fromkeys((*self.one_number, *found.one_number)))
        given = self._given(found)
        return replace(found, one_number=one_number, unnamed=self.unnamed, given=given)

    def _given(self, found: Probed) -> tuple[str, ...]:
        return tuple(name for name in self.given if name not in dict(found.fixed))

    def plain(self, found: Probed) -> Row:
        """The row of such cases."""
        return self.held_plain(found).row(self.row)

    def telling(self, found: Probed) -> list[Case]:
        """The cases by how much their sizes differ, which shows which axis is which. Those that
        differ most for a number of axes of the input come first.
        """
        ordered = sorted(sample(self.plain(found), CASES), key=differing, reverse=True)
        best: dict[int, Case] = {}
        for case in ordered:
            best.setdefault(axes_of(case), case)
        return [*best.values(), *(case for case in ordered if case not in best.values())]


def sample(row: Row, count: int) -> list[Case]:
    """The first cases of ordinary numbers that Hypothesis draws, the same every time."""
    import hypothesis
    from hypothesis import HealthCheck, Phase, given

    entry = Entry("a subject", row, _never, waivers=dict.fromkeys(Clause, "only being right"))
    strategy = ordinary(integers=False, layouts=("contiguous",), limits=SMALL, empty_batch=False)
    drawn: list[Case] = []

    @hypothesis.settings(
        max_examples=count,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy(entry, "forward_matches_reference", "cpu", "float32"))
    def draw(case: Case) -> None:
        drawn.append(case)

    draw()
    return drawn


def _never(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    raise RuntimeError(f"{call} is not built to draw its cases")


def _names(cases: Sequence[Case], role: Role) -> tuple[str, ...]:
    # What a layer was trained on before is not given to it together with the input.
    named = (spec.name for case in cases for spec in case.of_role(role))
    return tuple(dict.fromkeys(name for name in named if not name.startswith(EARLIER)))


def _decides(argument: str, cases: Sequence[Case]) -> bool:
    """Whether some values of an argument never come with the inputs, by name and dtype, of
    others.
    """
    seen: dict[Any, set[tuple[tuple[str, str | None], ...]]] = {}
    for case in cases:
        inputs = seen.setdefault(case.layer.kwargs.get(argument), set())
        given = (s for s in case.of_role(Role.INPUT) if not s.name.startswith(EARLIER))
        inputs.add(tuple((spec.name, spec.dtype) for spec in given))
    return any(one.isdisjoint(other) for one, other in itertools.combinations(seen.values(), 2))


def differing(case: Case) -> tuple[int, int]:
    """How many sizes above 1 are unlike, and how many tensors have such a first axis."""
    shapes = [spec.shape for spec in case.tensors if spec.shape]
    several = sum(shape[0] > 1 for shape in shapes)
    return len({size for shape in shapes for size in shape if size > 1}), several


def axes_of(case: Case) -> int:
    """How many axes the first input has."""
    return len(case.of_role(Role.INPUT)[0].shape or ())


def trial_of(case: Case, row: Row) -> Trial:
    """The tensors and the truth of a case; the trial builds no subject."""
    return Trial(case, Entry("a subject", row, _never))


def build(driver: Build, case: Case) -> Subject:
    """The subject of a case."""
    return driver(case.layer, getattr(torch, case.dtype), torch.device(case.device))


def distance(subject: Subject, trial: Trial) -> float:
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


def pulls_back(subject: Subject, trial: Trial) -> bool:
    """Whether the backward of the latest forward runs, to gradients of the tensors' own shapes."""
    if not trial.cotangents:
        return True
    tensors = trial.inputs | trial.parameters
    try:
        gradients = subject.vjp(trial.cotangents)
    except Exception:
        return False
    return all(g.shape == tensors[n].shape for n, g in gradients.items() if n in tensors)


def raises(driver: Build, trial: Trial, *, backward: bool = False) -> bool:
    """Whether a subject cannot be built for a case, or its calls raise."""
    try:
        subject = build(driver, trial.case)
        subject.forward(trial.inputs, trial.parameters)
        if backward and trial.cotangents:
            subject.vjp(trial.cotangents)
    except Exception:
        return True
    return False
