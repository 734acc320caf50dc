"""A function of the bank: how it is described, and the verdict that it must get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from verification.meta.harness import first_failure
from verification.properties.registry import Decides, applicable
from verification.running.functions import Said
from verification.subjects.described.by_description import described_entry
from verification.subjects.described.calling import callee_of
from verification.subjects.entry import Entry
from verification.trials.discrepancy import Discrepancy


@dataclass(frozen=True)
class Judged:
    """One function with its description, `check`'s arguments. caught_by: the properties of which at
    least one must fail; empty for a right function, of which none may fail. says: words that the
    failure must contain.
    """

    function: Any
    description: dict[str, Any] = field(hash=False)
    caught_by: tuple[str, ...] = ()
    says: str = ""

    @property
    def name(self) -> str:
        """The name that tests and tables show."""
        declared = sorted({*self.description} - {"inputs", "where", "settings", "batch"})
        return "-".join([callee_of(self.function).name, *declared])

    @property
    def right(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.caught_by

    @property
    def entry(self) -> Entry:
        """Its entry in this process."""
        spec = Said(**self.description).spec(self.function, None)
        return described_entry(self.function, spec)[0]

    def failures(self, examples: int, properties: tuple[str, ...] = ()) -> Iterator[Discrepancy]:
        """The first failure of every property that decides, or of these, in either dtype, as it was
        drawn.
        """
        entry = self.entry
        for prop in applicable(entry):
            if prop.decides is Decides.CORRECTNESS and prop.name in (properties or (prop.name,)):
                for dtype in ("float32", "float64"):
                    found = first_failure(entry, prop.name, dtype=dtype, examples=examples)
                    if found is not None:
                        yield found.discrepancy


def right(function: Any, **description: Any) -> Judged:
    """A right function."""
    return Judged(function, description)


def wrong(function: Any, *caught_by: str, says: str = "", **description: Any) -> Judged:
    """A wrong function, with the properties that see it."""
    return Judged(function, description, caught_by, says)


DERIVATIVE = "gradients_are_derivatives_of_forward"
SECOND = "second_derivatives_are_right_or_refused"
LINEAR = "backward_is_linear_in_cotangent"
LAYOUT = "layouts_change_nothing"
ALONE = "tensors_are_left_alone"
AGAIN = "backward_may_run_again"
CALLS = "calls_do_not_see_each_other"
SUBSET = "an_input_may_ask_alone"
UNUSED = "outputs_may_be_unused"
BETWEEN = "changes_between_the_passes_are_seen"
FORWARD_MODE = "forward_mode_agrees"
VMAP = "vmap_agrees"
SAMPLES = "declared_samples_do_not_see_each_other"
REFERENCE = "reference_gives_the_same"
