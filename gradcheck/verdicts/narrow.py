"""float16 and bfloat16: the gradients as they are, against the same code run in float64.

A difference quotient of 16-bit values shows next to nothing. So the numerical side evaluates the
subject on the same numbers in float64, and what the gradients may be off by is the rounding of the
16-bit side: of its sums, and what a relative change of all tensors by one roundoff makes of them.
"""

import torch
from torch import Tensor

from gradcheck.differences.classes import Estimate, Kind
from gradcheck.differences.evaluation import Evaluator, power_of_two_near
from gradcheck.rounding import (
    NATURAL_LENGTH,
    SPREAD_SAFETY,
    gamma,
    significand_bits,
    underflow,
    unit_roundoff,
)
from gradcheck.subjects.protocol import Tensors
from gradcheck.verdicts.points import Point, Question, Seen

_SPREAD_POINTS = 8


def is_narrow(tensors: Tensors) -> bool:
    """Whether some tensor has fewer bits than float32."""
    bits = [significand_bits(t.dtype) for t in tensors.values() if t.is_floating_point()]
    return bool(bits) and min(bits) < significand_bits(torch.float32)


class NarrowPoint(Point):
    """A point of 16-bit tensors; the evaluator knows them in float64."""

    def __init__(
        self,
        question: Question,
        inputs: Tensors,
        parameters: Tensors,
        latest: Tensors | None = None,
        seen: Seen | None = None,
    ) -> None:
        super().__init__(question, inputs, parameters, latest, seen)
        self._wide = {n: _widened(t) for n, t in {**inputs, **parameters}.items()}
        self._spread: dict[str, Tensor] | None = None

    def tensor(self, name: str) -> Tensor:
        """The value of an input or parameter, in float64."""
        return self._wide[name]

    @property
    def agrees_simply(self) -> bool:
        """Never: a 16-bit gradient is off by more than the roundings of float64."""
        return False

    def error_at_base(self, name: str) -> Tensor:
        """What the 16-bit outputs may differ from the float64 ones by, [M]."""
        return self._plausible_error()

    def new_evaluator(self) -> Evaluator:
        """The subject in float64; TypeError where it does not run in that."""
        asked = self.question
        inputs, parameters = self._wide_ones(self.inputs), self._wide_ones(self.parameters)
        try:
            return Evaluator(
                asked.subject,
                inputs,
                parameters,
                asked.told_stacked,
                sharing=self.seen.sharing,
                called=asked.progress.called,
            )
        except Exception as error:
            raise TypeError(
                f"{asked.subject.name} does not run in float64, by which {self.dtype} is judged"
                f" ({type(error).__name__}: {error}): let it follow the dtype of its inputs"
            ) from error

    def analytic_rounding(self, name: str, numerical: Estimate, directions: Tensor) -> Tensor:
        """The sums' rounding in 16 bits and the spread of the gradients, [cotangents, lines].

        And where the derivative varies, that of the outputs, from which backward may compute it
        (1 - y^2 for tanh): it varies over the natural length, or that of the tensor.
        """
        sizes = self.weights.abs()
        terms = (sizes > 0).to(torch.float64) @ (numerical.value != 0).to(torch.float64).T + 1
        sums = gamma(terms, unit_roundoff(self.dtype)) * (sizes @ numerical.value.abs().T)
        lengths = directions.reshape(len(directions), -1).abs().to(torch.float64)
        if self._spread is None:
            self._spread = self._gradient_spread()
        spread = self._spread[name] @ lengths.T
        smallest = underflow(terms, self.dtype) * lengths.sum(1)
        varies = (numerical.kind == Kind.SMOOTH).to(torch.float64)
        length = min(power_of_two_near(self.tensor(name)), NATURAL_LENGTH)
        outputs = unit_roundoff(self.dtype) / length * (sizes * self.prepare(name).base.abs())
        return sums + SPREAD_SAFETY * (spread + outputs @ varies.T) + smallest

    def _gradient_spread(self) -> dict[str, Tensor]:
        """Largest change of every gradient in float64 by one relative roundoff, [cotangents, N]."""
        by_cotangent = []
        for cotangent in self.question.cotangents:
            wide = {name: _widened(c) for name, c in cotangent.items()}
            here = self._wide_gradients(self._wide, wide)
            there = [self._wide_gradients(self._shaken(), wide) for _ in range(_SPREAD_POINTS)]
            by_cotangent.append(
                {n: torch.stack([(t[n] - here[n]).abs() for t in there]).amax(0) for n in here}
            )
        return {n: torch.stack([spread[n] for spread in by_cotangent]) for n in by_cotangent[0]}

    def _wide_gradients(self, tensors: Tensors, cotangent: Tensors) -> dict[str, Tensor]:
        inputs = {name: tensors[name] for name in self.inputs}
        self.question.forward(inputs, {name: tensors[name] for name in self.parameters})
        gradients = self.question.subject.vjp(cotangent)
        return {
            name: g.detach().flatten().to("cpu", torch.float64) for name, g in gradients.items()
        }

    def _shaken(self) -> dict[str, Tensor]:
        """All tensors, each entry changed by one roundoff up or down."""
        roundoff, generator = unit_roundoff(self.dtype), self.question.generator

        def shaken(tensor: Tensor) -> Tensor:
            sign = 2 * torch.randint(0, 2, tensor.shape, generator=generator) - 1
            return tensor * (1 + roundoff * sign) if tensor.is_floating_point() else tensor

        return {name: shaken(tensor) for name, tensor in self._wide.items()}

    def _wide_ones(self, tensors: Tensors) -> Tensors:
        return {name: self._wide[name] for name in tensors}


def _widened(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float64) if tensor.is_floating_point() else tensor
