"""What is judged, as plain data: by which name it is found, by what it is judged, all that its user
said of it, and what was found out about it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

Told = tuple[tuple[str, Any], ...]
"""What a user said, by name; the values are None, bool, int, float, str and tuples of them."""


@dataclass(frozen=True)
class Facts:
    """Facts by name, as a SubjectSpec keeps them: only those that were said."""

    @classmethod
    def of(cls, told: Told) -> Self:
        """From what stands in a SubjectSpec."""
        return cls(**dict(told))

    @property
    def told(self) -> Told:
        """What was said, as it stands in a SubjectSpec."""
        said = ((field.name, getattr(self, field.name)) for field in fields(self))
        return tuple((name, value) for name, value in said if value not in (None, (), ""))


@dataclass(frozen=True, slots=True)
class SubjectSpec:
    """What is judged: a name of the catalogue, or `module:qualname` / `path.py:qualname`, and the
    row it is judged by.

    `like` is the kind whose row judges a foreign layer; None for a name of the catalogue, which
    knows its row, and for a function that is judged by the description of its `inputs` alone, one
    line for each. `adapter` is what the user told of how to build and drive the subject, `declared`
    what is right about it by contract; `found` is how it turned out to be driven, so that a replay
    need not try. `digest` is the SHA-256 of the source file that held it when
    the case was written; `waivers` are clauses of the row that it does not claim.
    """

    name: str
    like: str | None = None
    digest: str | None = None
    waivers: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    adapter: Told = ()
    declared: Told = ()
    found: Told = ()

    @property
    def foreign(self) -> bool:
        """Whether it is found by its place in somebody's code, and not by the catalogue."""
        return self.like is not None or bool(self.inputs)
