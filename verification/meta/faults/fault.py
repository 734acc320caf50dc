"""A fault: a right layer with one small edit, the properties that must catch it, and where it was
seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from verification.meta.harness import broken
from verification.subjects.entry import Entry


@dataclass(frozen=True)
class Fault:
    """One wrong layer.

    kind: the row of the right one ("Conv2d"). layer: the class that stands in its place.
    caught_by: names of the properties that must fail on it. seen: where such a fault happened.
    """

    kind: str
    layer: type
    caught_by: tuple[str, ...]
    seen: str = ""

    @property
    def name(self) -> str:
        """The wrong class's name, which says what is wrong."""
        return self.layer.__name__

    @property
    def entry(self) -> Entry:
        """The right kind's entry with the wrong class in it."""
        return broken(self.kind, self.layer)


FAULTS: dict[str, Fault] = {}
"""Every fault by name."""


def fault(kind: str, *caught_by: str, seen: str = "") -> Callable[[type[Any]], type[Any]]:
    """Register a class as a fault of that kind, which these properties must catch."""

    def register(layer: type[Any]) -> type[Any]:
        if layer.__name__ in FAULTS:
            raise ValueError(f"fault {layer.__name__!r} is there already: each needs its own name")
        FAULTS[layer.__name__] = Fault(kind, layer, caught_by, seen)
        return layer

    return register
