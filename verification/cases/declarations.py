"""What a user declares right about a gradient, and how a description's further parts are kept in a
SubjectSpec: plain data, a function as `module:qualname`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from verification.cases.subject_spec import Told


@dataclass(frozen=True)
class Declarations:
    """What is so on purpose.

    constant: inputs that have no gradient. derivative_of: the function whose derivative the
    backward is, in the place of its own forward. vjp: a rule (*inputs, *cotangents) -> gradients,
    where the backward depends on its cotangent in other ways than by a factor. scaled_by: the
    factor between the backward and the derivative. approximate: how far the backward may be from
    the derivative, as a share of its largest entry. stochastic: the function that the mean over
    draws is, whose derivative is the mean of the backward. reference: the same map by other code.
    """

    constant: tuple[str, ...] = ()
    derivative_of: str | None = None
    vjp: str | None = None
    scaled_by: float | None = None
    approximate: float | None = None
    stochastic: str | None = None
    reference: str | None = None

    @classmethod
    def of(cls, told: Told) -> Declarations:
        """From what stands in a SubjectSpec."""
        return cls(**dict(told))

    @property
    def told(self) -> Told:
        """What was declared, as it stands in a SubjectSpec."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return tuple((n, v) for n, v in said.items() if v not in (None, ()))


@dataclass(frozen=True)
class Surroundings:
    """What belongs to a description beside its lines.

    where: the relation between extents. settings: for each argument that is no tensor, the values
    that it takes in turn. batch: the extent whose index counts samples that do not see each other.
    """

    where: str = ""
    settings: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    batch: str | None = None

    @classmethod
    def of(cls, told: Told) -> Surroundings:
        """From what stands in a SubjectSpec."""
        return cls(**dict(told))

    @property
    def told(self) -> Told:
        """What was said, as it stands in a SubjectSpec."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return tuple((name, value) for name, value in said.items() if value)
