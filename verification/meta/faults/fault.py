"""A Fault: a wrong layer, the properties that must catch it, and where such a fault was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from verification.meta.harness import broken
from verification.subjects.entry import Entry


@dataclass(frozen=True)
class Fault:
    """One small edit of a right layer.

    `kind` is the row's name ("Conv2d"), `layer` the wrong class, built with the right one's
    arguments; `caught_by` are the properties that must catch it, by name. `shown` says which
    geometry, numbers or calls show it. `seen` says where such a fault happened; numbers are pytorch
    issues where no other project is named.
    """

    kind: str
    layer: Callable[..., Any]
    caught_by: tuple[str, ...]
    shown: str
    seen: str = ""

    @property
    def name(self) -> str:
        """The name that tests and reports show."""
        return f"{self.kind}-{self.layer.__name__}"

    @property
    def entry(self) -> Entry:
        """The wrong layer as a subject, judged by the right one's row."""
        return broken(self.kind, self.layer, self.name)


FAULTS: dict[str, Fault] = {}
"""Every fault by name."""


def fault(kind: str, *caught_by: str, shown: str, seen: str = "") -> Callable[[type], type]:
    """Register the class below as a fault of that kind, which these properties must catch."""

    def register(layer: type) -> type:
        new = Fault(kind, layer, caught_by, shown, seen)
        if new.name in FAULTS:
            raise ValueError(f"fault {new.name!r} is there already: each needs a name of its own")
        FAULTS[new.name] = new
        return layer

    return register
