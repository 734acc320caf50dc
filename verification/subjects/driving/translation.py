"""From the suite's tensors to what a subject holds, and back: numpy arrays, other orders of axes,
weights flattened to a matrix, samples as columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from torch import Tensor

from verification.subjects.loading import SubjectError

Axes = tuple[int, ...]

COLUMNS: Mapping[str, Axes] = {"input": (1, 0), "output": (1, 0), "target": (1, 0)}
"""Matrices whose columns are the samples."""


@dataclass(frozen=True)
class Translation:
    """numpy: whether the subject computes on numpy arrays. axes: the order in which it holds a
    tensor's axes, by the tensor's name, as in numpy.transpose; the kind's own order is left out.
    columns: whether it holds a vector as a matrix of one column.
    """

    numpy: bool = False
    axes: Mapping[str, Axes] = field(default_factory=dict)
    columns: bool = False

    def there(self, name: str, tensor: Tensor, shape: tuple[int, ...] | None = None) -> Any:
        """A tensor as the subject takes it: memory is shared unless a new shape needs a copy."""
        given = self.turned(name, tensor.detach() if self.numpy else tensor)
        if shape is not None and tuple(given.shape) != shape:
            given = given.reshape(shape)
        # A bfloat16 has no numpy type: what numpy says to it is the subject's answer.
        return given.cpu().numpy() if self.numpy else given

    def turned(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor with its axes in the subject's order."""
        if self.columns and tensor.dim() == 1 and tensor.is_floating_point():
            return tensor.unsqueeze(1)
        axes = self.axes.get(name)
        return tensor if axes is None or len(axes) != tensor.dim() else tensor.permute(axes)

    def back(self, name: str, value: Any, like: Tensor, *, same_size: bool = True) -> Any:
        """What the subject returned as a tensor of the suite's; `like` is one of the dtype that is
        wanted and, where `same_size`, of the shape. What is no tensor is left to the judge.
        """
        if isinstance(value, (numpy.ndarray, numpy.generic)) or (self.numpy and _number(value)):
            value = torch.from_numpy(numpy.asarray(value)).to(like.device)
        if not isinstance(value, Tensor):
            return value
        # numpy computes in float64 where its own parameters are: rounded once more.
        value = value.detach().to(like.dtype) if self.numpy else value.detach()
        if same_size and value.numel() == like.numel():
            if self.columns and like.dim() == 1:
                return value.reshape(like.shape)
            value = value.reshape(self.turned(name, like.detach()).shape)
        return self.turned_back(name, value)

    def output(self, value: Any, tensors: Mapping[str, Tensor]) -> Any:
        """What the subject returned for these tensors, its input the first of them."""
        back = self.back("output", value, floating(tensors), same_size=False)
        return self.one_of(back, tensors) if isinstance(back, Tensor) else back

    def one_of(self, output: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """An output as a vector, where the input was one and was given as a column."""
        alone = self.columns and next(iter(tensors.values())).dim() == 1 and output.dim() == 2
        return output.flatten() if alone else output

    def turned_back(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor of the subject's with its axes in the kind's order."""
        axes = self.axes.get(name)
        if axes is None or len(axes) != tensor.dim():
            return tensor
        return tensor.permute([axes.index(i) for i in range(len(axes))])

    def turns(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether some of these tensors is held in another way than the kind's."""
        return any(self.turned(name, t).shape != t.shape for name, t in tensors.items())

    @property
    def notes(self) -> Iterator[str]:
        """What was found, in sentences."""
        if self.numpy:
            yield "takes numpy arrays; results are converted to the dtype of the input"
        if self.columns:
            yield "samples are columns, and vectors too"
        for name, axes in self.axes.items():
            if not (self.columns and name in COLUMNS):
                yield f"{name} is held with its axes in the order {', '.join(map(str, axes))}"


BATCHES = (
    Translation(),
    Translation(axes={"input": (0, 2, 3, 1), "output": (0, 2, 3, 1)}),
    Translation(axes=COLUMNS, columns=True),
)
"""How batches are held: like the kind's, images with their channels last, samples as columns."""

SAMPLES = (
    Translation(),
    Translation(axes={"input": (1, 2, 0), "output": (1, 2, 0)}),
    Translation(columns=True),
)
"""How one sample is held: like the kind's, as an image with channels last, a vector as a column."""


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def floating(tensors: Mapping[str, Tensor]) -> Tensor:
    """The first tensor whose dtype is that of results: no labels, no indices."""
    given = list(tensors.values())
    return next((tensor for tensor in given if tensor.is_floating_point()), given[0])


def orders(shape: tuple[int, ...], own: tuple[int, ...]) -> Iterator[Axes]:
    """The orders of axes in which a tensor of that shape can fill one of the subject's shape, the
    kind's own order first; axes that stand together may be flattened into one.
    """
    for axes in itertools.permutations(range(len(shape))):
        if _fills([shape[i] for i in axes], list(own)):
            yield axes


def _fills(sizes: list[int], own: list[int]) -> bool:
    """Whether runs of these sizes multiply to the others, in order; sizes of 1 do not count."""
    left = [size for size in sizes if size != 1]
    for size in (size for size in own if size != 1):
        product = 1
        while left and product < size:
            product *= left.pop(0)
        if product != size:
            return False
    return not left


def told_axes(layout: Mapping[str, Any]) -> dict[str, Axes]:
    """The orders of axes that a user told.

    Raises:
        SubjectError: one of them is no order of axes.
    """
    for name, axes in layout.items():
        if not isinstance(axes, tuple) or sorted(axes) != list(range(len(axes))):
            raise SubjectError(
                f"layout of {name!r} is {axes!r}: give the order of its axes, such as 2,3,1,0"
            )
    return dict(layout)
