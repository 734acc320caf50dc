"""What a user declares right about a gradient, and how a description's further parts are kept in a
SubjectSpec: plain data, a function as `module:qualname`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from verification.cases.subject_spec import Facts


@dataclass(frozen=True)
class Declarations(Facts):
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


@dataclass(frozen=True)
class Surroundings(Facts):
    """What belongs to a description beside its lines.

    where: the relation between extents. settings: for each argument that is no tensor, the values
    that it takes in turn. batch: the extent whose index counts samples that do not see each other.
    same: extents that may not change from one call to the next.
    """

    where: str = ""
    settings: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    batch: str | None = None
    same: tuple[str, ...] = ()
