"""What a user tells of how to build and drive a subject, where it cannot be found out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from verification.cases.subject_spec import Told


@dataclass(frozen=True)
class Adapter:
    """All of it plain data, so that it travels in a case file.

    kwargs: arguments that the subject is always built with. rename: the subject's name for an
    argument of the kind. layout: for a tensor of the kind, the order in which the subject holds its
    axes, as in numpy.transpose: ("weight", (2, 3, 1, 0)). held: for a parameter of the kind, the
    attributes that hold its value and its gradient. backward: the name of the method that
    differentiates.
    """

    kwargs: Told = ()
    rename: Told = ()
    layout: Told = ()
    held: Told = ()
    backward: str | None = None

    @classmethod
    def of(cls, told: Told) -> Adapter:
        """From what stands in a SubjectSpec."""
        return cls(**dict(told))

    @property
    def told(self) -> Told:
        """What was said, as it stands in a SubjectSpec."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return tuple((name, value) for name, value in said.items() if value)


def pairs(told: Any) -> Told:
    """A mapping that a user gave, as plain data: lists become tuples."""
    return tuple((str(name), _plain(value)) for name, value in dict(told or {}).items())


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value
