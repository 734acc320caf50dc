"""Maps without curvature to speak of, judged where their arithmetic has no rounding at all.

At a point of short dyadic numbers, along directions of integers, for cotangents of integers, every
product and sum of such a map is a floating-point number, so both sides must agree to the last bit.
That the map is affine, and that nothing is rounded, is observed and not assumed: values are
multiples of the finest product, small beside 2^t, and add up exactly along random directions; and
at the point that was asked about the gradient fits a long step. Where one of these fails,
``NotExact`` says so and the caller judges with bounds.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gradcheck.differences.classes import Basis
from gradcheck.differences.evaluation import CHUNK_ELEMENTS, Evaluator, flatten
from gradcheck.differences.lines import Lines, along, signed_integers
from gradcheck.rounding import (
    ANALYTIC_SAFETY,
    EXACT_ROOM,
    significand_bits,
    unit_roundoff,
)
from gradcheck.subjects.protocol import Tensors
from gradcheck.verdicts.comparison import Comparison
from gradcheck.verdicts.points import Agreement, Point, Question, coarsest

_FEW_LINES = 16  # below, finding out whether points share a call costs more than it saves
_MANY_OUTPUTS = 512  # beyond, a backward for each takes too long
_MANY_ENTRIES = 1024  # beyond, packed directions take too much memory
_PACKED, _APART = 4, 8  # entries in one direction, and bits between them


class NotExact(Exception):
    """The map is not affine, or its arithmetic here is rounded."""


class ExactPoint(Point):
    """A point of odd quarters near which the subject computes without rounding.

    ``compare`` has bound 0 unless backward rounds. It and the constructor raise NotExact where a
    value shows that the premise fails.
    """

    def __init__(
        self, question: Question, inputs: Tensors, parameters: Tensors, with_units: bool
    ) -> None:
        tensors, generator = {**inputs, **parameters}, question.generator
        self.dtype = coarsest(tensors)
        bits, count = exact_bits_and_count(self.dtype)
        self._step, self._finest = 2.0**bits, 2.0 ** -_finest_bits(self.dtype)
        like = question.cotangents[0]
        cotangents = [
            {n: signed_integers(tuple(c.shape), bits, generator).to(c) for n, c in like.items()}
            for _ in range(count)
        ]
        if with_units and significand_bits(self.dtype) <= significand_bits(torch.float32):
            cotangents += _unit_cotangents(like)
        moved = {n: _odd_quarters(t, generator) for n, t in tensors.items()}
        super().__init__(
            replace(question, cotangents=tuple(cotangents)),
            {name: moved[name] for name in inputs},
            {name: moved[name] for name in parameters},
        )
        self._require_unrounded(torch.stack([flatten(outputs) for outputs in self.outputs]))
        every = torch.stack([flatten(gradients) for gradients in self.gradients])
        self._require_small(every)
        self._rounded = ~self._is_multiple(every).all(1)

    def compare(self, name: str, lines: Lines, thorough: bool = False) -> Comparison:
        """Both sides along ``lines``, which must agree exactly.

        Only where a gradient is no multiple of what its products are multiples of, backward rounds
        (it may divide, or transform): then it may err by some roundings of the largest product.
        That a gradient agrees with long steps in random directions shows that the map is affine;
        where it does not agree, steps along two of them must add up.
        """
        evaluator = self.evaluator
        if len(lines) > _FEW_LINES:
            evaluator.probe_sharing(name, torch.zeros(1, dtype=torch.float64))
        rows = max(1, CHUNK_ELEMENTS // (lines.shape.numel() + self.weights.shape[1]))
        parts, reach = [], torch.zeros(len(self.weights), dtype=torch.float64)
        for number, some in enumerate(lines.parts(rows)):
            self.question.progress.at(name, number * rows, len(lines))
            differences = self._differences(evaluator, name, some.directions)
            parts.append(self.weights @ differences.T)
            reach = torch.maximum(reach, (self.weights.abs() @ differences.abs().T).amax(1))
        expected, got = torch.cat(parts, 1), self.analytic(name, lines)
        rounding = ANALYTIC_SAFETY * unit_roundoff(self.dtype) * reach
        bound = torch.where(self._rounded, rounding, 0.0)[:, None].expand_as(got)
        basis: Basis = "estimated" if bool(self._rounded.any()) else "exact"
        kinked = torch.zeros_like(got, dtype=torch.bool)
        comparison = Comparison(expected, got, bound, kinked, basis)
        if lines.dense is not None and comparison.any_wrong:
            self._require_additive(evaluator, name, lines.dense[:2])
        return comparison

    def _require_additive(self, evaluator: Evaluator, name: str, pair: Tensor) -> None:
        """Steps along two directions [2, *shape] must add up."""
        apart = self._differences(evaluator, name, pair)
        together = self._differences(evaluator, name, pair.sum(0, keepdim=True))
        if not torch.equal(apart.sum(0), together[0]):
            raise NotExact(f"{name} enters nonlinearly, or is rounded")

    def agrees(self, names: Sequence[str]) -> Agreement | None:
        """Both sides along random lines through all ``names``, or None where they differ.

        The differences are central ones, which are exact for maps of degree two as well.
        """
        generator = self.question.generator
        lines = {name: exact_lines(self.tensor(name), generator) for name in names}
        steps = {name: its.directions for name, its in lines.items()}
        each = [dict(zip(steps, line, strict=True)) for line in zip(*steps.values(), strict=True)]
        times = (self._step, -self._step)
        values = torch.stack([self.evaluator.values_along(step, times) for step in each])
        self._require_unrounded(values)
        expected = self.weights @ ((values[:, 0] - values[:, 1]) / (2 * self._step)).T
        got = torch.stack([self.analytic(name, its) for name, its in lines.items()]).sum(0)
        if bool(self._rounded.any()) or not torch.equal(expected, got):
            return None
        nothing = torch.zeros_like(got)
        comparison = Comparison(expected, got, nothing, nothing != 0, "exact")
        return Agreement(self, steps, comparison, "integers")

    def _differences(self, evaluator: Evaluator, name: str, directions: Tensor) -> Tensor:
        """(f(x + s d) - f(x)) / s, [L, M], exact in float64."""
        values = evaluator.values(name, evaluator.tensor(name) + self._step * directions)
        self._require_unrounded(values)
        return (values - evaluator.base) / self._step

    def _require_unrounded(self, values: Tensor) -> None:
        self._require_small(values)
        if not bool(self._is_multiple(values).all()):
            raise NotExact("values are no multiples of the finest product")

    def _require_small(self, values: Tensor) -> None:
        largest = values.abs().max().item() if values.numel() else torch.inf
        if not largest * EXACT_ROOM <= self._finest * 2.0 ** significand_bits(self.dtype):
            raise NotExact(f"values reach {largest:.4g}, or there are none")

    def _is_multiple(self, values: Tensor) -> Tensor:
        multiples = values / self._finest
        return multiples == multiples.round()


def exact_point(point: Point, names: Sequence[str], with_units: bool) -> ExactPoint | None:
    """A point at which gradients of ``names`` can perhaps be judged exactly, or None.

    That they can shows along random lines, which are to be compared first.
    ``with_units`` adds a cotangent for every single output where the significand is short: in a sum
    of many products a small error of one would be rounded away.
    """
    if not all(point.tensor(name).numel() for name in names):
        return None
    try:
        return ExactPoint(point.question, point.inputs, point.parameters, with_units)
    except Exception:  # at a point that nobody asked about a subject may raise what it likes
        return None


def agrees_exactly(exact: ExactPoint, names: Sequence[str]) -> Agreement | None:
    """Both sides along lines through all tensors of ``names`` at once, where nothing differs.

    Maps of degree at most two in all tensors together can be judged so, if there is room for the
    products of two steps: None for any other, and where something is wrong.
    """
    if not all(exact.tensor(name).dtype == torch.float64 for name in names):
        return None
    try:
        return exact.agrees(names)
    except Exception:  # as above
        return None


def _unit_cotangents(like: Tensors) -> list[dict[str, Tensor]]:
    """One cotangent for each single output; none where there are too many."""
    if sum(cotangent.numel() for cotangent in like.values()) > _MANY_OUTPUTS:
        return []
    units = []
    for name, cotangent in like.items():
        for place in range(cotangent.numel()):
            unit = {other: torch.zeros_like(c) for other, c in like.items()}
            unit[name].view(-1)[place] = 1
            units.append(unit)
    return units


def exact_lines(tensor: Tensor, generator: torch.Generator) -> Lines:
    """Random directions with as many bits as exact arithmetic leaves room for."""
    bits, count = exact_bits_and_count(tensor.dtype)
    integers = signed_integers((count, *tensor.shape), bits, generator)
    return along((integers / 2**bits).to(tensor.dtype))


def packed_lines(tensor: Tensor) -> Lines | None:
    """Directions through four entries each, 2^8 apart in size; None where there is no room.

    Together they go through every entry. Wrong entries cannot cancel in them, unless one error is
    exactly 2^8, 2^16 or 2^24 times another: random directions would show those.
    """
    count = tensor.numel()
    if tensor.dtype != torch.float64 or not _PACKED < count <= _MANY_ENTRIES:
        return None
    rows = math.ceil(count / _PACKED)
    entries = torch.arange(count)
    sizes = 2.0 ** (12 - _APART * (entries // rows))  # times the step they are 2^24, ..., 1
    directions = torch.zeros(rows, count, dtype=torch.float64)
    directions[entries % rows, entries] = sizes.to(torch.float64)
    return along(directions.reshape(rows, *tensor.shape))


def exact_bits_and_count(dtype: torch.dtype) -> tuple[int, int]:
    """Bits of directions and cotangents, and how many: an error escapes at most once in 2^20."""
    return (12, 2) if significand_bits(dtype) > significand_bits(torch.float32) else (5, 4)


def _finest_bits(dtype: torch.dtype) -> int:
    """Products of so many quarters are allowed, in bits: six in float64, two in float32."""
    return 12 if significand_bits(dtype) > significand_bits(torch.float32) else 4


def _odd_quarters(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers +-5/4 and +-7/4: no ties at 0, 1/2, 1; none hides in the rounding of the others."""
    if not tensor.is_floating_point():
        return tensor
    odd = 2 * torch.randint(0, 2, tensor.shape, generator=generator) + 5
    sign = 2 * torch.randint(0, 2, tensor.shape, generator=generator) - 1
    return (odd * sign / 4).to(tensor)
