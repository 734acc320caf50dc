"""How far an evaluated output may be off: by a given error analysis, or by the noise that is seen.

Both are an ``ErrorBound``, a function of the steps and of the values probed with them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradcheck.differences.evaluation import Evaluator, flatten, power_of_two_near
from gradcheck.differences.noise import POINTS, jump_sizes, noise_level
from gradcheck.rounding import (
    NOISE_SAFETY,
    OUTPUT_ROUNDINGS,
    QUANTUM_SAFETY,
    significand_bits,
    underflow,
    unit_roundoff,
)
from gradcheck.subjects.protocol import Tensors

_JUMP_POINTS = 17  # some jump lies alone among them at one of the distances that are tried
_LONGER = 2  # doublings from one distance to the next
_LONGEST = 10  # halvings of a number that are the longest distance: those of bfloat16 show then


@dataclass(frozen=True)
class ErrorBound:
    """(steps, values probed with them [S, 7, L, M]) -> bound on the error of a value, [S, L, M].

    ``jumps`` [M] is the part of it that was seen as jumps, beside ``noise``.
    """

    noise: Callable[[Sequence[float], Tensor], Tensor]
    jumps: Tensor | float = 0.0

    def __call__(self, steps: Sequence[float], values: Tensor) -> Tensor:
        return self.noise(steps, values) + self.jumps


EvaluationError = Callable[[Tensors, Tensors], Tensors]
"""(inputs, parameters) -> for every output a bound on |fl(f) - f| at that point, of its shape."""


def derived_error(analysis: EvaluationError, evaluator: Evaluator, name: str) -> ErrorBound:
    """The given analysis, at the point and at the far corner of the box that is probed."""
    tensor = evaluator.tensor(name)

    def analysed(moved: Tensors) -> Tensor:
        bounds = analysis(
            {n: moved.get(n, t) for n, t in evaluator.inputs.items()},
            {n: moved.get(n, t) for n, t in evaluator.parameters.items()},
        )
        return flatten({n: bounds[n] for n in evaluator.output_names})

    here = analysed({})

    def at_corner(reach: float) -> Tensor:
        if not reach:
            return here
        corner = tensor + torch.where(tensor < 0, -reach, reach)
        return torch.maximum(here, analysed({name: corner}))

    def error(steps: Sequence[float], values: Tensor) -> Tensor:
        return torch.stack([at_corner(step) for step in steps])[:, None].expand(values[:, 0].shape)

    return ErrorBound(error)


def estimated_error(evaluator: Evaluator, generator: torch.Generator) -> ErrorBound:
    """Noise seen at points that are close together, and some roundings of the values probed."""
    coarsest, step = _short_step(evaluator, generator)
    level = NOISE_SAFETY * noise_level(evaluator.values_along(step, range(1, POINTS + 1)))
    u, smallest = unit_roundoff(coarsest), underflow(1, coarsest)

    def error(steps: Sequence[float], values: Tensor) -> Tensor:
        return level + OUTPUT_ROUNDINGS * u * values.abs().amax(1) + smallest

    return ErrorBound(error)


def with_jumps(error: ErrorBound, evaluator: Evaluator, generator: torch.Generator) -> ErrorBound:
    """The noise seen by ``estimated_error``, and what jumps show that lie further apart."""
    coarsest, step = _short_step(evaluator, generator)
    here = error_at_base(evaluator, error)
    jumps = torch.zeros_like(here)
    for doublings in range(0, _short_bits(coarsest) - _LONGEST, _LONGER):
        longer = {name: along * 2.0**doublings for name, along in step.items()}
        values = evaluator.values_along(longer, range(1, _JUMP_POINTS + 1))
        found = jump_sizes(values, here)
        jumps = torch.maximum(jumps, found)  # the nearest are those of the smallest terms
    # an output whose jumps were not met is taken to have those of the others
    everywhere = torch.where(jumps > 0, jumps, jumps.amax()) if len(jumps) else jumps
    return ErrorBound(error, QUANTUM_SAFETY * everywhere)


def error_at_base(evaluator: Evaluator, error: ErrorBound) -> Tensor:
    """Bound on the error of each value at the base, [M]."""
    return error((0.0,), evaluator.base.reshape(1, 1, 1, -1)).reshape(-1)


def _short_step(
    evaluator: Evaluator, generator: torch.Generator
) -> tuple[torch.dtype, dict[str, Tensor]]:
    """From one point of the difference table to the next: each number by a share of itself.

    In a random direction and on one side only, where a kink at x itself is no noise. Also the dtype
    with the fewest bits, on which the share depends.
    """
    tensors = {**evaluator.inputs, **evaluator.parameters}
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    dtypes = [*(tensor.dtype for tensor in floating.values()), *evaluator.output_dtypes]
    coarsest = min(dtypes, key=significand_bits)

    def step(tensor: Tensor) -> Tensor:
        sizes = torch.where(tensor == 0, power_of_two_near(tensor), tensor.abs())
        signs = 2 * torch.randint(0, 2, tensor.shape, generator=generator) - 1
        return signs.to(tensor) * (sizes * 2.0 ** -_short_bits(coarsest))

    return coarsest, {name: step(tensor) for name, tensor in floating.items()}


def _short_bits(dtype: torch.dtype) -> int:
    """How many halvings of a number are a short step: two thirds of its bits."""
    return 2 * significand_bits(dtype) // 3
