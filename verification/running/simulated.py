"""Campaigns on the simulated accelerator, in a child process of their own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import hypothesis
import torch

from verification import catalogue
from verification.properties import Property, applicable
from verification.properties.registry import Family
from verification.running.campaign import hunt
from verification.subjects.entry import Entry
from verification.trials.discrepancy import Discrepancy
from verification.trials.simulated_device import SIMULATED, SimulatedDevice, register

NOT_SIMULATED = {
    Family.ISOLATION: "simulated tensors have no addresses that could be compared",
    "works_without_autograd": "torch makes no wrapped tensors in inference mode",
}
"""Families and properties that the simulated device cannot exercise, with the reason."""

Find = Callable[[str], Entry]
"""A function of a module, so that a child process finds it by its name."""


def hunt_simulated(
    names: Sequence[str], examples: int, find: Find = catalogue.find
) -> dict[str, list[str]]:
    """Hunt every property that applies and can be simulated; what failed, by "subject property".

    The same examples are drawn in every run.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as child:
        return child.submit(hunt_here, names, examples, find).result()


def hunt_here(
    names: Sequence[str], examples: int, find: Find = catalogue.find
) -> dict[str, list[str]]:
    """The same in this process, which then has the simulated device for as long as it lives."""
    torch.set_num_threads(1)
    register()
    settings = hypothesis.settings(
        max_examples=examples, derandomize=True, database=None, deadline=None
    )
    failures: dict[str, list[str]] = {}
    for entry in map(find, names):
        for prop in applicable(entry):
            if prop.family not in NOT_SIMULATED and prop.name not in NOT_SIMULATED:
                found = _hunt(entry, prop, settings)
                if found:
                    failures[f"{entry.name} {prop.name}"] = found
    return failures


def _hunt(entry: Entry, prop: Property, settings: hypothesis.settings) -> list[str]:
    with catalogue.added(entry), SimulatedDevice():  # type: ignore[no-untyped-call]
        try:
            hunt(entry, prop, device=SIMULATED, settings=settings)
        except Discrepancy as found:
            return [str(found)]
        except ExceptionGroup as group:
            return [str(found) for found in group.exceptions]
    return []
