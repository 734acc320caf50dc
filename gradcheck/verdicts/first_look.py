"""The first question: do all gradients fit differences along one line through all tensors?

It costs little, and can only be answered by yes (see ``ladder``). Whatever it leaves open is looked
at tensor by tensor. The values seen along the line serve a second time, at a point beside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradcheck.differences.evaluation import PointError
from gradcheck.differences.ladder import (
    FIRST_STEP,
    Agreed,
    Claim,
    Rungs,
    agrees_ahead,
    climb_down,
)
from gradcheck.differences.lines import along, random_line
from gradcheck.rounding import PLAUSIBLE_NOISE, unit_roundoff
from gradcheck.subjects.protocol import Tensors
from gradcheck.verdicts.comparison import Comparison
from gradcheck.verdicts.nearby import laid_out
from gradcheck.verdicts.points import Agreement, Point


@dataclass(frozen=True)
class Look:
    """What one line shows, on which tensors move by their units times a random direction.

    ``steps`` are [1, *shape] of each. ``agreement`` is None where the gradients do not fit as well
    as they should, and they may still ``fit`` but for rounding. ``rungs`` of the ladder are what
    was needed; where they are few the function is ``straight``. ``seen`` are all outputs [M] by how
    often the steps were taken, 0 included.
    """

    steps: Tensors
    agreement: Agreement | None
    straight: bool
    fit: bool
    rungs: Rungs
    seen: Mapping[float, Tensor]


def first_look(point: Point, names: Sequence[str], generator: torch.Generator) -> Look | None:
    """What agrees along a random line through ``names``, or None where that is not known."""
    tensors = {name: point.tensor(name) for name in names}
    some = bool(point.weights.shape[1]) and all(tensor.numel() for tensor in tensors.values())
    if not (some and point.agrees_simply):
        return None
    steps = {
        name: point.unit(name) * random_line(tensor, generator).directions
        for name, tensor in tensors.items()
    }
    once = {name: its[0] for name, its in steps.items()}
    seen = {0.0: point.evaluator.base}

    def probe(sizes: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        offsets = torch.cat([sizes, -sizes]).tolist()
        values = point.evaluator.values_along(once, offsets)
        seen.update(zip(offsets, values, strict=True))
        ahead, back = values[:, None].chunk(2)
        return ahead, back

    try:
        agreed = climb_down(_claim(point, steps), probe)
    except PointError:
        return None
    rounding = PLAUSIBLE_NOISE * unit_roundoff(point.dtype) * point.reach(names)
    fit = bool(((agreed.value - agreed.claimed).abs() <= rounding[:, None]).all())
    agreement = _agreement(point, steps, agreed) if bool(agreed.lines.all()) else None
    return Look(steps, agreement, agreed.straight, fit, agreed.rungs, seen)


def look_ahead(point: Point, look: Look) -> Agreement | None:
    """What agrees at the nearest point ahead on the line of a ``look`` in which all agreed.

    None also where some tensor did not move: a backward that kept it would not show.
    """
    tensors = {**point.inputs, **point.parameters}
    if any(t.is_floating_point() and name not in look.steps for name, t in tensors.items()):
        return None
    times = [FIRST_STEP / 2**rung for rung in look.rungs]
    moved = {
        name: laid_out(point.evaluator.tensor(name).add(its[0], alpha=times[-1]), tensors[name])
        for name, its in look.steps.items()
    }
    beside = point.at({**tensors, **moved}, point.seen)
    values = torch.stack([look.seen[t] for t in (0.0, *times, *(-time for time in times))])
    agreed = agrees_ahead(_claim(beside, look.steps), look.rungs, values)
    return _agreement(beside, look.steps, agreed) if bool(agreed.lines.all()) else None


def _claim(point: Point, steps: Tensors) -> Claim:
    return point.claim({name: along(its) for name, its in steps.items()}, 1.0)


def _agreement(point: Point, steps: Tensors, agreed: Agreed) -> Agreement:
    kinked = torch.zeros_like(agreed.value, dtype=torch.bool)
    comparison = Comparison(agreed.value, agreed.claimed, agreed.bound, kinked, "estimated")
    return Agreement(point, steps, comparison, "beside")
