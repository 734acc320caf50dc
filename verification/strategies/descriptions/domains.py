"""Domains: which numbers a tensor may hold, as a text that a Case carries and that runs no code.

A domain brings any float64 numbers into itself by `member`, which leaves its members as they are
and is differentiable at them; it folds back what lies beyond a boundary, so that a boundary is a
kink and a perturbed tensor never leaves the domain. `tangent` is the vector-Jacobian product of
`member`: what of a gradient can be seen from inside the domain. Discrete domains hold constants.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from verification.strategies.descriptions.discrete import (
    Binary,
    Groups,
    Indices,
    Labels,
    Mask,
    OneOf,
    OpenMask,
    Permutation,
    SomeLabels,
)
from verification.strategies.descriptions.domain import Domain, DomainError
from verification.strategies.descriptions.drawn import drawn_domain

__all__ = ["KINDS", "NUMBER", "Domain", "DomainError", "parse"]

_MARGIN = 2.0**-6
"""How far a number of the open unit stays from 0 and 1; bfloat16 holds it, and 1 less it."""

_DOMINANCE = 1.25
"""A diagonal at least so many times the rest of its row: positive definite also once rounded."""


@dataclass(frozen=True)
class Real(Domain):
    """Numbers of about the size `scale`."""

    scale: float = 1.0

    def sample(self, drawn: Tensor) -> Tensor:
        return drawn * self.scale


@dataclass(frozen=True)
class Positive(Domain):
    """Numbers above 0."""

    def member(self, values: Tensor) -> Tensor:
        return torch.where(values == 0, 1.0, values.abs())

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        return gradient * _sign(values)


@dataclass(frozen=True)
class Unit(Domain):
    """Numbers from 0 to 1, both included."""

    def member(self, values: Tensor) -> Tensor:
        folded = values.remainder(2)
        return torch.where(folded > 1, 2 - folded, folded)

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        return torch.where(values.remainder(2) > 1, -gradient, gradient)


@dataclass(frozen=True)
class Within(Domain):
    """Numbers from -size to size, both included."""

    size: float

    def member(self, values: Tensor) -> Tensor:
        folded = (values + self.size).remainder(4 * self.size)
        folded = torch.where(folded > 2 * self.size, 4 * self.size - folded, folded) - self.size
        # A sum and a difference would round what is a member already.
        return torch.where(values.abs() <= self.size, values, folded)

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        back = (values + self.size).remainder(4 * self.size) > 2 * self.size
        return torch.where(back, -gradient, gradient)


@dataclass(frozen=True)
class OpenUnit(Domain):
    """Numbers between 0 and 1, so far from both that none becomes 0 or 1 in any dtype."""

    def member(self, values: Tensor) -> Tensor:
        width = 1 - 2 * _MARGIN
        folded = (values - _MARGIN).remainder(2 * width)
        return _MARGIN + torch.where(folded > width, 2 * width - folded, folded)

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        width = 1 - 2 * _MARGIN
        return torch.where((values - _MARGIN).remainder(2 * width) > width, -gradient, gradient)


@dataclass(frozen=True)
class Simplex(Domain):
    """Numbers that are not negative and sum to 1 along the last axis."""

    joint = True

    def member(self, values: Tensor) -> Tensor:
        if not values.numel():
            return values
        if not values.dim():
            return torch.ones_like(values)
        sizes = values.abs()
        total = sizes.sum(-1, keepdim=True)
        return torch.where(total == 0, 1 / values.shape[-1], sizes / total)

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        if not values.numel() or not values.dim():
            return torch.zeros_like(gradient)
        mean = (gradient * self.member(values)).sum(-1, keepdim=True)
        return _sign(values) * (gradient - mean) / values.abs().sum(-1, keepdim=True)


@dataclass(frozen=True)
class Sorted(Domain):
    """Numbers that ascend along the last axis, no two of them equal."""

    joint = True

    def member(self, values: Tensor) -> Tensor:
        if values.dim() == 0 or values.shape[-1] < 2:
            return values
        ascending = values.sort(-1).values
        gaps = ascending.diff(dim=-1)
        if bool((gaps > 0).all()):
            return ascending
        gaps = torch.where(gaps > 0, gaps, 1.0)
        first = ascending[..., :1]
        return torch.cat([first, first + gaps.cumsum(-1)], -1)

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        if values.dim() == 0:
            return gradient
        return gradient.gather(-1, values.argsort(dim=-1, stable=True).argsort(-1))


class _Square(Domain):
    """Square matrices in the last two axes."""

    joint = True

    def require_fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise DomainError(
                f"{self.words!r} holds square matrices, and the shape is {shape}: end it with one"
                " extent twice, as in 'b k k'"
            )


@dataclass(frozen=True)
class Symmetric(_Square):
    """Symmetric matrices; the lower triangle counts."""

    def member(self, values: Tensor) -> Tensor:
        return values.tril() + values.tril(-1).mT

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        return gradient.tril() + gradient.triu(1).mT


@dataclass(frozen=True)
class PositiveDefinite(_Square):
    """Symmetric matrices whose diagonal outweighs the rest of its row, which makes them positive
    definite and well-conditioned.
    """

    def member(self, values: Tensor) -> Tensor:
        whole, least = self._parts(values)
        beyond = (whole.diagonal(dim1=-2, dim2=-1) - least).abs()
        diagonal = least + torch.where((beyond == 0) & (least == 0), 1.0, beyond)
        return whole.diagonal_scatter(diagonal, dim1=-2, dim2=-1)

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        # Off the members, where a diagonal is folded back, the least diagonal depends on the row.
        whole, least = self._parts(values)
        folded = whole.diagonal(dim1=-2, dim2=-1) < least
        along = gradient.diagonal(dim1=-2, dim2=-1)
        gradient = gradient.diagonal_scatter(torch.where(folded, -along, along), dim1=-2, dim2=-1)
        through = torch.where(folded, 2 * _DOMINANCE * along, 0.0).unsqueeze(-1) * whole.sign()
        off = ~torch.eye(values.shape[-1], dtype=torch.bool, device=values.device)
        gradient = gradient + through * off
        return gradient.tril() + gradient.triu(1).mT

    def _parts(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The symmetric matrix, and the least diagonal that it must have."""
        whole = values.tril() + values.tril(-1).mT
        beside = whole.abs().sum(-1) - whole.diagonal(dim1=-2, dim2=-1).abs()
        return whole, _DOMINANCE * beside.clamp(min=0)


@dataclass(frozen=True)
class Diagonal(_Square):
    """Diagonal matrices."""

    def member(self, values: Tensor) -> Tensor:
        return values.tril().triu()

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        return gradient.tril().triu()


@dataclass(frozen=True)
class ZeroRow(Domain):
    """Tensors whose part at one place of the first axis is zero and stays so."""

    joint = True

    row: int = 0

    def member(self, values: Tensor) -> Tensor:
        return self.tangent(values, values)

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        seen = gradient.clone()
        seen[self.row] = 0.0
        return seen


@dataclass(frozen=True)
class UnitNorm(Domain):
    """Vectors of length 1 along the last axis."""

    joint = True

    def member(self, values: Tensor) -> Tensor:
        if not values.numel():
            return values
        if not values.dim():
            return torch.where(values < 0, -1.0, torch.ones_like(values))
        length = values.square().sum(-1, keepdim=True).sqrt()
        first = torch.zeros_like(values)
        first[..., 0] = 1
        return torch.where(length == 0, first, values / length)

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        if not values.numel() or not values.dim():
            return torch.zeros_like(gradient)
        x = self.member(values)
        across = gradient - x * (x * gradient).sum(-1, keepdim=True)
        return across / values.square().sum(-1, keepdim=True).sqrt()


KINDS: dict[str, Callable[..., Domain]] = {
    "real": Real,
    "positive": Positive,
    "unit": Unit,
    "within": Within,
    "open unit": OpenUnit,
    "simplex": Simplex,
    "sorted": Sorted,
    "symmetric": Symmetric,
    "positive definite": PositiveDefinite,
    "diagonal": Diagonal,
    "unit norm": UnitNorm,
    "zero row": ZeroRow,
    "labels": Labels,
    "some labels": SomeLabels,
    "indices": Indices,
    "groups": Groups,
    "permutation": Permutation,
    "mask": Mask,
    "open mask": OpenMask,
    "binary": Binary,
    "one of": OneOf,
}
"""Every kind of domain by the words that a text begins with."""


_TEXT = re.compile(r"\s*(?P<words>[a-z]+(?: [a-z]+)*)\s*(?:\((?P<arguments>[^()]*)\)\s*)?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")


@cache
def parse(text: str) -> Domain:
    """The domain that a text names: "real", "labels(5, ignored=-100)", "one of (1, 2.5)"; one of a
    user's own is "my_module:function(n=3)".

    Raises:
        DomainError: there is no such domain, or its arguments are not numbers that it takes.
    """
    own = drawn_domain(text)
    if own is not None:
        return own
    match = _TEXT.fullmatch(text)
    if match is None:
        raise DomainError(f"domain {text!r}: write words and, in parentheses, numbers")
    kind = KINDS.get(match["words"])
    if kind is None:
        raise DomainError(f"domain {text!r} is unknown; choose from {', '.join(KINDS)}")
    positional: list[float] = []
    named: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in (match["arguments"] or "").split(","))):
        name, equals, digits = (piece.strip() for piece in part.rpartition("="))
        number = _number(digits, text)
        if equals:
            named[name] = number
        else:
            positional.append(number)
    try:
        return kind(*positional, **named)
    except TypeError as error:
        raise DomainError(f"domain {text!r}: {str(error).partition('()')[2].strip()}") from None


def _number(digits: str, text: str) -> float:
    if not NUMBER.fullmatch(digits):
        raise DomainError(f"domain {text!r}: {digits!r} is no number")
    return float(digits) if re.search("[.e]", digits) else int(digits)


def _sign(values: Tensor) -> Tensor:
    """1 or -1 of the values' dtype: 0 lies on the side of what is positive."""
    return torch.where(values < 0, -1.0, torch.ones_like(values))
