"""Put a layer before a property: the Entry with the fault, the hunt, and what it found or how
long it took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase

from gradcheck.subjects import LayerSubject, Subject
from verification import catalogue
from verification.cases import Case, LayerCall
from verification.properties import PROPERTIES
from verification.running.campaign import Tally, hunt
from verification.subjects.driving.optimizers import scratch_sgd
from verification.subjects.entry import Entry
from verification.trials.discrepancy import Discrepancy
from verification.trials.outcome import Outcome
from verification.trials.run_case import run_case


def broken(kind: str, layer_class: Callable[..., Any], name: str = "") -> Entry:
    """The entry of a wrong layer of a shipped kind."""
    return stand_in(kind, layer_class, f"broken.{name or layer_class.__name__}")


def stand_in(kind: str, layer_class: Callable[..., Any], name: str) -> Entry:
    """The entry of a shipped kind with another class in the place of its own.

    `kind` is a row's name ("Conv2d"); `layer_class` takes the same arguments as the right class.
    """
    right = catalogue.find(f"scratch_layers.{kind}")
    # Layers show their class's name, and a fault's own would tell it from the kind.
    if isinstance(layer_class, type):
        layer_class = type(kind, (layer_class,), {})

    def build(call: LayerCall, dtype: Any, device: Any) -> Subject:
        if call.name == "SGD":
            return scratch_sgd(call, layer_class)
        layer = layer_class(*catalogue.build_children(call, dtype, device), **call.kwargs)
        # A loss has no parameters, and so no place to be moved to.
        return LayerSubject(layer.to(device, dtype) if hasattr(layer, "to") else layer)

    return replace(right, name=name, build=build)


def find_failures(
    entry: Entry, property_name: str, *, dtype: str = "float32", examples: int = 100
) -> list[Discrepancy]:
    """Hunt one property against an entry, derandomised; the failures found, none if it passes."""
    settings = hypothesis.settings(
        max_examples=examples, derandomize=True, database=None, deadline=None
    )
    with catalogue.added(entry):
        try:
            hunt(entry, PROPERTIES[property_name], dtype=dtype, settings=settings)
        except Discrepancy as found:
            return [found]
        except ExceptionGroup as group:
            return [e for e in group.exceptions if isinstance(e, Discrepancy)]
    return []


@dataclass(frozen=True)
class Found:
    """The first failure of a campaign, the examples that it took, itself among them, and the
    seconds.
    """

    discrepancy: Discrepancy
    examples: int
    seconds: float


class _Stop(BaseException):
    """Carries the first failure past Hypothesis, which would look for more and shrink them."""

    def __init__(self, discrepancy: Discrepancy) -> None:
        self.discrepancy = discrepancy


def first_failure(
    entry: Entry,
    property_name: str,
    *,
    dtype: str = "float32",
    examples: int = 100,
    seed: int | None = None,
) -> Found | None:
    """Hunt until something fails, and leave it as large as it is; None if nothing does.

    Without a seed the examples are those of the `ci` profile.
    """
    settings = hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    tally = Tally()

    def run(case: Case) -> Outcome:
        outcome = run_case(case)
        if isinstance(outcome, Discrepancy):
            tally.examples += 1
            raise _Stop(outcome)
        return outcome

    with catalogue.added(entry):
        try:
            hunt(
                entry,
                PROPERTIES[property_name],
                dtype=dtype,
                tally=tally,
                settings=settings,
                run=run,
                seed=seed,
            )
        except _Stop as stop:
            return Found(stop.discrepancy, tally.examples, tally.seconds)
    return None
