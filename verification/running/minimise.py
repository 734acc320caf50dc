"""Simplify a failing Case's values, once Hypothesis has shrunk its spec, and store them in the
Case.

Greedy and budgeted: plainer layouts, then zeros, then simpler numbers where a number must stay, as
long as the same failure (the same property, tensor and kind) remains. A reader then sees x = [[[[0,
1]]]] and not a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from verification import catalogue
from verification.cases import Case, Role, TensorSpec, Values
from verification.references.clauses import Clause
from verification.strategies.descriptions.domains import parse
from verification.trials.discrepancy import Discrepancy
from verification.trials.outcome import Outcome
from verification.trials.run_case import run_case
from verification.trials.trial import Trial

BUDGET = 400
"""How many times the layer may be run to simplify one case."""

SIMPLE = (1.0, -1.0, 2.0, -2.0, 4.0)
"""Numbers to put in the place of others, the simplest first."""


def minimise(
    discrepancy: Discrepancy, run: Callable[[Case], Outcome] = run_case, budget: int = BUDGET
) -> Discrepancy:
    """The same failure on the simplest values found within the budget; the given one if its values
    cannot be stored.
    """
    search = _Search(discrepancy, run, budget)
    if search.attempt(_with_stored_values(discrepancy)):
        names = [spec.name for spec in discrepancy.case.tensors]
        for simplify in (search.lay_out_plainly, search.zero_out, search.simplify_elements):
            for name in names:
                simplify(name)
        # Where a layout repeats elements, only the first of them counts: write out what does.
        search.attempt(_with_stored_values(search.best))
    return search.best


class _Search:
    """The best failing case so far, and how many runs are left."""

    def __init__(self, start: Discrepancy, run: Callable[[Case], Outcome], budget: int) -> None:
        self.best = start
        self.run = run
        self.left = budget

    def attempt(self, case: Case) -> bool:
        """Keep the case if it still fails for the same cause."""
        if self.left <= 0 or case == self.best.case:
            return False
        self.left -= 1
        outcome = self.run(case)
        if isinstance(outcome, Discrepancy) and outcome.cause == self.best.cause:
            self.best = outcome
            return True
        return False

    def lay_out_plainly(self, name: str) -> None:
        """Try contiguous memory for one tensor."""
        self.attempt(self.best.case.with_tensor(replace(self._spec(name), layout="contiguous")))

    def zero_out(self, name: str) -> None:
        """Zero out chunks of one tensor, halving the chunk."""
        size = len(self._values(name))
        chunk = size
        while chunk:
            for start in range(0, size, chunk):
                values = self._values(name)
                if any(values[start : start + chunk]):
                    zeros = (0.0,) * len(values[start : start + chunk])
                    self._put(name, values[:start] + zeros + values[start + chunk :])
            chunk //= 2

    def simplify_elements(self, name: str) -> None:
        """Try simpler numbers for one tensor's elements, one by one."""
        for position in range(len(self._values(name))):
            self._simplify_element(name, position)

    def _simplify_element(self, name: str, position: int) -> None:
        for number in _simpler_than(self._values(name)[position]):
            values = self._values(name)
            if self._put(name, (*values[:position], number, *values[position + 1 :])):
                return

    def _spec(self, name: str) -> TensorSpec:
        return next(spec for spec in self.best.case.tensors if spec.name == name)

    def _values(self, name: str) -> tuple[float, ...]:
        return self._spec(name).values.stored or ()

    def _put(self, name: str, values: tuple[float, ...]) -> bool:
        spec = replace(self._spec(name), values=Values(stored=values))
        distinct = Clause.EQUAL_MAXIMA in self.best.case.subject.waivers
        if distinct and spec.role is Role.INPUT and len(set(values)) < len(values):
            return False
        return self.attempt(self.best.case.with_tensor(spec))


def _simpler_than(number: float) -> Iterator[float]:
    if number == 0 or number != number:
        return
    for simple in SIMPLE:
        if simple == number:
            return
        if abs(simple) <= max(1.0, abs(number)):
            yield simple
    rounded = float(round(number)) if abs(number) < 2**53 else number
    if rounded not in (number, 0.0, *SIMPLE):
        yield rounded


def _with_stored_values(failure: Discrepancy) -> Case:
    """The case with every tensor's elements written out, as the layer was given them; the case
    itself where its tensors cannot be made, as in a use that must be refused. Cotangents whose
    outputs were never reached stay as they are, and so does what a user's own function draws.
    """
    case = failure.case
    trial = Trial(case, catalogue.find(case.subject.name))
    for spec in failure.case.tensors:
        shape = spec.shape if spec.shape is not None else failure.shapes.get(spec.name)
        if shape is None or parse(spec.domain).closed:
            continue
        try:
            made = trial.make(spec, shape).tensor
        except Exception:  # whatever a reference says to bad arguments
            return failure.case
        stored = tuple(made.cpu().double().flatten().tolist())
        case = case.with_tensor(replace(spec, values=Values(stored=stored)))
    return case
