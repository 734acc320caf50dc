"""The first question: do all gradients fit differences along one line through all tensors?

It costs little, and can only be answered by yes (see ``ladder``). Whatever it leaves open is looked
at tensor by tensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gradcheck.differences.evaluation import PointError
from gradcheck.differences.ladder import Rungs
from gradcheck.differences.lines import along, random_line
from gradcheck.rounding import PLAUSIBLE_NOISE, unit_roundoff
from gradcheck.verdicts.comparison import Comparison
from gradcheck.verdicts.points import Agreement, Point


@dataclass(frozen=True)
class Look:
    """What one line shows, on which tensors move by their units times a random direction.

    ``agreement`` is None where the gradients do not fit as well as they should, and they may still
    ``fit`` but for rounding. ``rungs`` of the ladder are what was needed; where they are few the
    function is ``straight``.
    """

    agreement: Agreement | None
    rungs: Rungs
    straight: bool
    fit: bool


def first_look(
    point: Point, names: Sequence[str], generator: torch.Generator, rungs: Rungs | None = None
) -> Look | None:
    """What agrees along a random line through ``names``, or None where that is not known.

    The look begins with ``rungs``, those of another point.
    """
    tensors = {name: point.tensor(name) for name in names}
    some = bool(point.weights.shape[1]) and all(tensor.numel() for tensor in tensors.values())
    if not (some and point.agrees_simply):
        return None
    steps = {
        name: point.unit(name) * random_line(tensor, generator).directions
        for name, tensor in tensors.items()
    }
    try:
        agreed = point.agreed({name: along(step) for name, step in steps.items()}, 1.0, rungs)
    except PointError:
        return None
    rounding = PLAUSIBLE_NOISE * unit_roundoff(point.dtype) * point.reach(names)
    fit = bool(((agreed.value - agreed.claimed).abs() <= rounding[:, None]).all())
    agreement = None
    if bool(agreed.lines.all()):
        kinked = torch.zeros_like(agreed.value, dtype=torch.bool)
        comparison = Comparison(agreed.value, agreed.claimed, agreed.bound, kinked, "estimated")
        agreement = Agreement(point, steps, comparison, "beside")
    return Look(agreement, agreed.rungs, agreed.straight, fit)
