"""What a domain is: the base class, which holds all real numbers."""

from __future__ import annotations

import re

from torch import Tensor


class DomainError(ValueError):
    """A domain that is unknown, or whose arguments or shape do not fit; the message says which."""


class Domain:
    """All real numbers; the others depart from it.

    dtype: the name of the only dtype that its tensors have; None where they have the Case's.
    discrete: no member has a derivative. joint: elements depend on each other, so that none may be
    repeated by a stride of 0. closed: no other numbers than those of `sample` are known to be
    members.
    """

    dtype: str | None = None
    discrete: bool = False
    joint: bool = False
    closed: bool = False

    @property
    def words(self) -> str:
        """The words that its text begins with."""
        return re.sub(r"\B([A-Z])", r" \1", type(self).__name__).lower()

    def sample(self, drawn: Tensor) -> Tensor:
        """A member made of the numbers that a value family drew, both float64 of one shape."""
        return self.member(drawn)

    def member(self, values: Tensor) -> Tensor:
        """The member that any numbers stand for; members stand for themselves. float64."""
        return values

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        """The vector-Jacobian product of `member` at `values`, both of one shape and dtype.

        At a member two gradients that differ by something that is normal to the domain become
        equal.
        """
        return gradient

    def require_fits(self, shape: tuple[int, ...]) -> None:
        """Raise DomainError if a tensor of that shape has no member."""
