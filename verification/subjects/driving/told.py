"""What a user tells of how to build and drive a subject, where it cannot be found out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from verification.cases.subject_spec import Facts, Told
from verification.subjects.loading import SubjectError


@dataclass(frozen=True)
class Adapter(Facts):
    """All of it plain data, so that it travels in a case file.

    kwargs: arguments that the subject is always built with. hold: arguments of the kind that are
    held at one value. one_number: those that the subject takes as one number for all axes. axes:
    how many axes its first input may have, where not any. rename: the subject's name for an
    argument of the kind. layout: for a tensor of the kind, the order in which the subject holds its
    axes, as in numpy.transpose: ("weight", (2, 3, 1, 0)). held: for a parameter of the kind, the
    attributes that hold its value and its gradient. against: the name of the layer whose results
    count as true. backward: the name of the method that differentiates.
    """

    kwargs: Told = ()
    hold: Told = ()
    one_number: tuple[str, ...] = ()
    axes: tuple[int, ...] = ()
    rename: Told = ()
    layout: Told = ()
    held: Told = ()
    against: str | None = None
    backward: str | None = None

    def require_known(
        self, kind: str, arguments: Collection[str], tensors: Collection[str]
    ) -> None:
        """Raise SubjectError for the first name that is none of the kind's."""
        names = {
            "hold": (dict(self.hold), arguments),
            "one_number": (self.one_number, arguments),
            "rename": (dict(self.rename), arguments),
            "layout": (dict(self.layout), tensors),
            "held": (dict(self.held), tensors),
        }
        for option, (said, known) in names.items():
            for name in said:
                if name not in known:
                    way_out = f"choose from {', '.join(known)}" if known else "it has none"
                    raise SubjectError(f"{option} names {name!r}, which {kind} has not: {way_out}")

    @classmethod
    def said(cls, **said: Any) -> Adapter:
        """From what a user gave: mappings and lists become tuples.

        Raises:
            TypeError: there is no such thing to be told.
        """
        return cls(**{name: _plain(value) for name, value in said.items() if value})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((str(name), _plain(inner)) for name, inner in value.items())
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple, set)) else value
