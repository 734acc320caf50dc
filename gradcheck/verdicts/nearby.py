"""A second look: a wrong gradient, or a point where the derivative is a matter of convention?

Where branches tie inside a composite (relu(x) - relu(-x) at 0), automatic differentiation may give
a value that no difference quotient has, and is not wrong. Such points are rare: right beside them
both sides agree. So a mismatch counts only if it is seen again at a point nearby, or if there is a
kink and the analytic value lies far outside everything that slopes and nearby gradients take.
"""

import torch
from torch import Tensor

from gradcheck.differences.evaluation import power_of_two_near
from gradcheck.differences.lines import Lines
from gradcheck.rounding import significand_bits
from gradcheck.subjects.memory import stored
from gradcheck.subjects.protocol import Tensors
from gradcheck.verdicts.comparison import Comparison
from gradcheck.verdicts.points import Point

_JUDGED = 2
_SAMPLED = 8  # gradients that show which branches meet at the point


def confirmed(point: Point, name: str, lines: Lines, generator: torch.Generator) -> Comparison:
    """A thorough comparison along ``lines``, undecided where only a convention differs."""
    here = point.compare(name, lines, thorough=True)
    wrong = here.wrong
    if not bool(wrong.any()):
        return here
    neighbours = [neighbour(point, generator) for _ in range(_SAMPLED)]
    agrees = torch.ones_like(wrong)
    for beside in neighbours[:_JUDGED]:
        there = beside.compare(name, lines, thorough=True)
        agrees &= ~there.wrong & ~there.undecided
    slopes = [here.expected - here.bound, here.expected + here.bound]
    seen = torch.stack([*slopes, *(n.analytic(name, lines) for n in neighbours)])
    low, high = seen.amin(0), seen.amax(0)
    room = (high - low) + torch.maximum(low.abs(), high.abs())
    plausible = (here.got >= low - room) & (here.got <= high + room)
    undecided = here.undecided | (wrong & agrees & (plausible | ~here.kinked))
    bound = torch.where(undecided, torch.inf, here.bound)
    return Comparison(here.expected, here.got, bound, here.kinked, here.basis)


def neighbour(point: Point, generator: torch.Generator) -> Point:
    """A point beside it."""
    inputs, parameters = neighbourhood(point, generator)
    return point.at({**inputs, **parameters})


def neighbourhood(
    point: Point, generator: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and parameters moved by up to 1/64 of themselves, zeros by that of the largest.

    The numbers fit into the dtype with the fewest bits, so that all may be one vector.
    """
    tensors = {**point.inputs, **point.parameters}
    dtypes = [tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()]
    coarsest = min(dtypes, key=significand_bits)

    def moved(tensors: Tensors) -> dict[str, Tensor]:
        return {
            name: _moved(tensor, coarsest, generator) if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        }

    return moved(point.inputs), moved(point.parameters)


def _moved(tensor: Tensor, coarsest: torch.dtype, generator: torch.Generator) -> Tensor:
    """A tensor near the given one that lies in memory in the same way."""
    single = stored(tensor)
    if not single.numel():
        return tensor
    scale = torch.where(single == 0, power_of_two_near(single), single.abs())
    share = torch.rand(single.shape, dtype=torch.float64, generator=generator).sub_(0.5).div_(32)
    moved = laid_out((single + share.to(tensor) * scale).to(coarsest), single)
    return moved.expand(tensor.shape) if single.shape != tensor.shape else moved


def laid_out(values: Tensor, like: Tensor) -> Tensor:
    """The ``values`` where ``like`` has its numbers in memory, and with its dtype.

    Contiguous ones where ``like`` has one number in several places.
    """
    if like.is_contiguous() or stored(like) is not like:
        return values.to(like)
    extent = 1 + sum((n - 1) * s for n, s in zip(like.shape, like.stride(), strict=True))
    memory = like.new_zeros(like.storage_offset() + extent)
    return memory.as_strided(like.shape, like.stride(), like.storage_offset()).copy_(values)
