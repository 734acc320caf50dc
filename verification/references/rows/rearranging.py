"""Rows of the layers that put numbers elsewhere: padding, Fold, Unfold, PixelShuffle and back."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import INPUT, Enclosures, Multilinear, Tensors
from verification.references.laws.weighted import Weighted
from verification.references.row import Clause, Row, Trait
from verification.strategies.geometries import rearranging
from verification.strategies.geometry import per_axis

FILL = "fill"
"""The number that constant padding puts around an image."""


def _columns(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    return F.unfold(tensors[INPUT], **arguments)


def _image(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    return F.fold(tensors[INPUT], **arguments)


def _shuffled(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    return F.pixel_shuffle(tensors[INPUT], **arguments)


def _unshuffled(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    return F.pixel_unshuffle(tensors[INPUT], **arguments)


def _sides(arguments: Mapping[str, Any], x: Tensor) -> tuple[int, ...]:
    """The padding of each side, the last axis first."""
    return per_axis(arguments["padding"], 2 * (x.ndim - 2))


def _padded(arguments: Mapping[str, Any], tensors: Tensors, mode: str) -> Tensor:
    x = tensors[INPUT]
    return F.pad(x, _sides(arguments, x), mode=mode)


def _filled(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    x, fill = tensors[INPUT], tensors[FILL]
    sides = _sides(arguments, x)
    inside = F.pad(torch.ones_like(x, requires_grad=False), sides)
    return F.pad(x, sides) + (1 - inside) * fill


def _fill(arguments: Mapping[str, Any], shape: tuple[int, ...], _: Precision) -> Enclosures:
    value = torch.tensor(arguments.get("value", 0.0))
    return {FILL: Enclosure.of(value, exact=bool(value == value.round()))}


_TRAITS = frozenset({Trait.LINEAR_IN_INPUT, Trait.BATCHED, Trait.DIFFERENTIABLE})
_OF_ANY_SIZE = _TRAITS | {Trait.RESIZABLE}


def _padding(kind: str, dims: int) -> Row:
    name, mode = f"{kind}{dims}d", _MODES[kind]
    copies = Multilinear(functools.partial(_padded, mode=mode), degree_of_terms=1) if mode else None
    return Row(
        name=name,
        law=copies or Weighted(_filled, _fill, degree_of_terms=1),
        geometries=functools.partial(rearranging.paddings, kind=kind, dims=dims),
        traits=_OF_ANY_SIZE,
        twin=getattr(nn, name),
    )


_MODES = {
    "ConstantPad": "",
    "ZeroPad": "",
    "ReflectionPad": "reflect",
    "ReplicationPad": "replicate",
    "CircularPad": "circular",
}
"""The kinds of padding by torch's names, with F.pad's name of those that copy what they pad."""

UNFOLD = Row(
    name="Unfold",
    law=Multilinear(_columns, degree_of_terms=1),
    geometries=rearranging.unfoldings,
    traits=_OF_ANY_SIZE,
    twin=nn.Unfold,
)

FOLD = Row(
    name="Fold",
    law=Multilinear(_image, degree_of_terms=1),
    geometries=rearranging.foldings,
    traits=_TRAITS,
    twin=nn.Fold,
)

_NO_SAMPLES = {Clause.EMPTY_BATCH: "the backward of an empty batch raises: it is not shuffled back"}


def _shuffle(name: str, image: Callable[..., Tensor], traits: frozenset[Trait]) -> Row:
    return Row(
        name=name,
        law=Multilinear(image, degree_of_terms=1),
        geometries=functools.partial(rearranging.shuffles, name=name),
        traits=traits,
        twin=getattr(nn, name),
        departures=_NO_SAMPLES,
    )


ROWS = (
    UNFOLD,
    FOLD,
    _shuffle("PixelShuffle", _shuffled, _OF_ANY_SIZE),
    _shuffle("PixelUnshuffle", _unshuffled, _TRAITS),
    *(_padding(kind, dims) for kind in _MODES for dims in (2, 1, 3)),
)
