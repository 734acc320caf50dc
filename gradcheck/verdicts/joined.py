"""All judged tensors as one: a vector, so that one direction goes through them together.

What is wrong in any of them shows along it, at the cost of one tensor.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gradcheck.differences.evaluation import power_of_two_near
from gradcheck.rounding import significand_bits
from gradcheck.subjects import Subject
from gradcheck.subjects.protocol import Tensors, transformable
from gradcheck.verdicts.comparison import Point

JOINED = "all tensors"


class Joined:
    """A subject whose one input, a vector, holds the tensors of ``scales`` in units of these.

    The units are powers of two. ``inputs`` and ``parameters`` give the shapes, and whatever is not
    joined. The vector has the dtype with the fewest bits; as long as it is given in that, every
    tensor gets its own.
    """

    def __init__(
        self, subject: Subject, inputs: Tensors, parameters: Tensors, scales: Mapping[str, float]
    ) -> None:
        self.name = subject.name
        self.offers = subject.offers & {"jvp", "vmap"}
        self._subject, self._inputs, self._parameters = subject, inputs, parameters
        self._tensors = {**inputs, **parameters}
        self._scales = scales
        self._dtype = min((self._tensors[name].dtype for name in scales), key=significand_bits)
        self._given = self._dtype

    def vector(self) -> Tensor:
        """The tensors as one."""
        parts = [(self._tensors[n] / scale).flatten() for n, scale in self._scales.items()]
        return torch.cat(parts).to(self._dtype)

    def forward(self, inputs: Tensors, parameters: Tensors) -> dict[str, Tensor]:
        """The subject's outputs."""
        self._given = inputs[JOINED].dtype
        return self._subject.forward(*self._apart(inputs[JOINED]))

    def evaluate(self, inputs: Tensors, parameters: Tensors) -> dict[str, Tensor]:
        """The subject's outputs, without a graph."""
        return transformable(self._subject).evaluate(*self._apart(inputs[JOINED]))

    def jvp(self, inputs: Tensors, parameters: Tensors, tangents: Tensors) -> dict[str, Tensor]:
        """Derivatives of the outputs along a vector, by forward mode."""
        tangent = self._split(tangents[JOINED])
        return transformable(self._subject).jvp(*self._apart(inputs[JOINED]), tangent)

    def batched_vjp(
        self, inputs: Tensors, parameters: Tensors, cotangents: Tensors
    ) -> dict[str, Tensor]:
        """The gradients [B, N] of all tensors as one, for cotangents [B, *shape]."""
        found = transformable(self._subject).batched_vjp(*self._apart(inputs[JOINED]), cotangents)
        parts = [found[n].flatten(1).to(self._dtype) * s for n, s in self._scales.items()]
        return {JOINED: torch.cat(parts, 1)}

    def vjp(self, cotangents: Tensors) -> dict[str, Tensor]:
        """The gradients of all tensors as one."""
        return self.gathered(self._subject.vjp(cotangents))

    def gathered(self, gradients: Tensors) -> dict[str, Tensor]:
        """The gradient by the vector, of the ``gradients`` by its tensors."""
        parts = [(gradients[name] * scale).flatten() for name, scale in self._scales.items()]
        return {JOINED: torch.cat(parts).to(self._given)}

    def _apart(self, vector: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        moved = self._split(vector)
        return (
            {name: moved.get(name, tensor) for name, tensor in self._inputs.items()},
            {name: moved.get(name, tensor) for name, tensor in self._parameters.items()},
        )

    def _split(self, vector: Tensor) -> dict[str, Tensor]:
        sizes = [self._tensors[name].numel() for name in self._scales]
        parts = zip(self._scales, torch.split(vector, sizes), strict=True)
        return {name: self._part(name, part) for name, part in parts}

    def _part(self, name: str, part: Tensor) -> Tensor:
        like, scale = self._tensors[name], self._scales[name]
        part = (part if scale == 1 else part * scale).reshape(like.shape)
        its_own = part.dtype == like.dtype or part.dtype != self._dtype
        return part if its_own else part.to(like.dtype)


def joined_point(point: Point, units: Mapping[str, float]) -> tuple[Point, str]:
    """The point with all tensors of ``units``, of one dtype, as one in these, and its name.

    Nothing is evaluated anew. A single tensor stays as it is.
    """
    if len(units) == 1:
        return point, next(iter(units))
    subject = Joined(point.question.subject, point.inputs, point.parameters, units)
    gradients: list[Tensors] = [subject.gathered(gradient) for gradient in point.gradients]
    return point.through(subject, {JOINED: subject.vector()}, gradients), JOINED


def natural_units(point: Point, names: Sequence[str]) -> dict[str, float]:
    """The size of each tensor's numbers."""
    return {name: power_of_two_near(point.tensor(name)) for name in names}
