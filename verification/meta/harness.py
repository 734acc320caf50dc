"""Put a broken layer before a property: the Entry with the fault, the hunt, and what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis

from gradcheck.subjects import LayerSubject, Subject
from verification import catalogue
from verification.cases import LayerCall
from verification.properties import PROPERTIES
from verification.running.campaign import hunt
from verification.subjects.entry import Entry
from verification.subjects.optimizers import scratch_sgd
from verification.trials.discrepancy import Discrepancy


def broken(kind: str, layer_class: Callable[..., Any], name: str = "") -> Entry:
    """The entry of a shipped kind with another class in the place of the right one.

    `kind` is a row's name ("Conv2d"); `layer_class` takes the same arguments as the right class.
    """
    right = catalogue.find(f"scratch_layers.{kind}")

    def build(call: LayerCall, dtype: Any, device: Any) -> Subject:
        if call.name == "SGD":
            return scratch_sgd(call, layer_class)
        children = [catalogue.build_layer(child, dtype, device) for child in call.children]
        layer = layer_class(*children, **call.kwargs)
        # A loss has no parameters, and so no place to be moved to.
        return LayerSubject(layer.to(device, dtype) if hasattr(layer, "to") else layer)

    return replace(right, name=f"broken.{name or layer_class.__name__}", build=build)


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
