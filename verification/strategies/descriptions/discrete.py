"""Discrete domains, whose members are constants: labels, indices, masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verification.strategies.descriptions.domain import Domain, DomainError

_SCATTER = 1_000_003
"""A prime: drawn numbers times this, cut to whole ones, are spread over every residue class."""


class _Discrete(Domain):
    """Constants: there is nothing between two members."""

    discrete = True

    def tangent(self, values: Tensor, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)


@dataclass(frozen=True)
class Indices(_Discrete):
    """Whole numbers from 0 to extent - 1."""

    extent: int

    dtype = "int64"

    def sample(self, drawn: Tensor) -> Tensor:
        return _scattered(drawn).remainder(max(1, self.extent))

    def member(self, values: Tensor) -> Tensor:
        return _whole(values).clamp(0, max(0, self.extent - 1))

    def require_fits(self, shape: tuple[int, ...]) -> None:
        if self.extent < 1 and 0 not in shape:
            raise DomainError(
                f"{self.words!r} of {self.extent} has no member, and the shape {shape} wants some"
            )


@dataclass(frozen=True)
class Labels(Indices):
    """Class labels from 0 to extent - 1; about one in four is `ignored`, if that is a label."""

    ignored: int | None = None

    def sample(self, drawn: Tensor) -> Tensor:
        labels = super().sample(drawn)
        if self.ignored is None:
            return labels
        others = (_scattered(drawn) / max(1, self.extent)).floor().remainder(4)
        return torch.where(others == 3, float(self.ignored), labels)

    def member(self, values: Tensor) -> Tensor:
        labels = super().member(values)
        if self.ignored is None:
            return labels
        return torch.where(values == self.ignored, values, labels)

    def require_fits(self, shape: tuple[int, ...]) -> None:
        if self.ignored is None:
            super().require_fits(shape)


class SomeLabels(Labels):
    """Labels of which the first is another one where all were ignored, if there is another."""

    joint = True

    def sample(self, drawn: Tensor) -> Tensor:
        return self._with_one(super().sample(drawn))

    def member(self, values: Tensor) -> Tensor:
        return self._with_one(super().member(values))

    def _with_one(self, labels: Tensor) -> Tensor:
        others = [label for label in range(self.extent) if label != self.ignored]
        if self.ignored is None or not others or not labels.numel():
            return labels
        first = torch.arange(labels.numel(), device=labels.device).reshape(labels.shape) == 0
        alone = first & labels.eq(self.ignored).all()
        return torch.where(alone, float(others[0]), labels)


@dataclass(frozen=True)
class Groups(Indices):
    """Group ids from 0 to extent - 1 that never descend along the last axis."""

    joint = True

    def sample(self, drawn: Tensor) -> Tensor:
        return self.member(super().sample(drawn))

    def member(self, values: Tensor) -> Tensor:
        ids = super().member(values)
        return ids.sort(-1).values if ids.dim() else ids


@dataclass(frozen=True)
class Permutation(_Discrete):
    """The whole numbers from 0 on along the last axis, in any order."""

    dtype = "int64"
    joint = True

    def member(self, values: Tensor) -> Tensor:
        if not values.dim():
            return torch.zeros_like(values)
        return values.argsort(dim=-1, stable=True).argsort(-1).to(values.dtype)


class Binary(_Discrete):
    """0 and 1, as floating numbers."""

    def sample(self, drawn: Tensor) -> Tensor:
        return _scattered(drawn).remainder(2)

    def member(self, values: Tensor) -> Tensor:
        return (values != 0).to(values.dtype)


class Mask(Binary):
    """True and False."""

    dtype = "bool"


class OpenMask(Mask):
    """True and False; the first along the last axis is True where no other is."""

    joint = True

    def sample(self, drawn: Tensor) -> Tensor:
        return self.member(super().sample(drawn))

    def member(self, values: Tensor) -> Tensor:
        mask = super().member(values)
        if mask.dim():
            first = mask[..., :1]
            mask = torch.cat([torch.maximum(first, 1 - mask.amax(-1, True)), mask[..., 1:]], -1)
        return mask


class OneOf(_Discrete):
    """Some numbers; whole ones are int64."""

    def __init__(self, *numbers: float) -> None:
        if not numbers:
            raise DomainError("'one of ()' has no member: write at least one number")
        self.numbers = numbers
        if all(isinstance(number, int) for number in numbers):
            self.dtype = "int64"

    def sample(self, drawn: Tensor) -> Tensor:
        return self._table(drawn)[_scattered(drawn).remainder(len(self.numbers)).long()]

    def member(self, values: Tensor) -> Tensor:
        table = self._table(values)
        return table[(values.nan_to_num()[..., None] - table).abs().argmin(-1)]

    def _table(self, like: Tensor) -> Tensor:
        return torch.tensor([float(n) for n in self.numbers], dtype=like.dtype, device=like.device)


def _whole(values: Tensor) -> Tensor:
    return values.nan_to_num().round()


def _scattered(drawn: Tensor) -> Tensor:
    """Whole numbers, equal where the drawn ones are, that seem random where those are dense."""
    return (drawn.nan_to_num() * _SCATTER).floor()
