"""Do two trainings follow the same path? A bound for how far rounding alone parts them.

Two right implementations of one training differ in their order of summation, and each later step
amplifies what they differ by. How strongly depends on the curvature of the loss along the path;
a worst-case bound on that grows by a factor a step and says nothing after fifty. So the
amplification is measured: replicas of the reference take the same steps on the same batches, and
after each of them every one of their parameters is moved by 2u relative to itself, one unit in
the last place or two, with a random sign. That is the size of the rounding which every
implementation commits in every update, w - f. The bound after step t is

    bound_t = SAFETY * max over s <= t and over the replicas of max |w_replica - w_reference|,

each parameter tensor for itself. `estimated`, not derived: the gradients' own rounding enters
through SAFETY.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from noise2noise.training import Trainer

# Over ten seeds and both forms, the worst right training went 1.8 times as far as the replicas; at
# twice the learning rate 3.1 times. The smallest planted fault, a loss gradient rounded to float32,
# goes 70,000 times beyond the bound in its first step.
SAFETY = 8
REPLICAS = 2


@dataclass(frozen=True)
class Agreement:
    """The step and parameter at which a training came closest to its bound, or went beyond it.

    `ratio` is difference / bound, the largest of the whole run; `difference` is the largest
    absolute difference of any parameter in any step.
    """

    steps: int
    difference: float
    ratio: float
    step: int
    parameter: str

    @property
    def ok(self) -> bool:
        """Whether every parameter stayed within its bound in every step."""
        return self.ratio <= 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        verdict = "within" if self.ok else "beyond"
        return (
            f"{verdict} the bound for rounding in {self.steps} steps: "
            f"largest difference {self.difference:.1e}; "
            f"{self.ratio:.2g} of the bound at worst ({self.parameter} after step {self.step})"
        )


def follow(
    subject: Trainer,
    reference: Trainer,
    replicas: Sequence[Trainer],
    pairs: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    advance: Callable[[float], None],
) -> Agreement:
    """Take `steps` steps with all trainers on the same batches and compare after each.

    All trainers start from the same parameters, in the same dtype. `advance` is called after
    each step with the reference's loss. The first step beyond the bound, or not finite, is the
    last.
    """
    generator = torch.Generator().manual_seed(0)
    spread: dict[str, float] = dict.fromkeys(reference.parameters(), 0.0)
    largest = 0.0
    worst = Agreement(steps=0, difference=0.0, ratio=0.0, step=0, parameter="")
    for step, (noisy, target) in enumerate(islice(pairs, steps), start=1):
        subject.step(noisy, target)
        loss = reference.step(noisy, target)
        for replica in replicas:
            replica.step(noisy, target)
            _move_by_rounding(replica.parameters(), generator)
            for name, value in _distances(replica, reference).items():
                spread[name] = max(spread[name], value)
        for name, value in _distances(subject, reference).items():
            # NaN compares false with everything, and would be forgotten by the next parameter.
            ratio = math.inf if math.isnan(value) else value / (SAFETY * spread[name])
            largest = max(largest, value)
            if ratio > worst.ratio:
                worst = Agreement(step, largest, ratio, step, name)
        worst = replace(worst, steps=step, difference=largest)
        advance(loss)
        if not worst.ok:
            break
    return worst


def _move_by_rounding(parameters: Mapping[str, Tensor], generator: torch.Generator) -> None:
    for value in parameters.values():
        sign = torch.randint(2, value.shape, generator=generator).to(value) * 2 - 1
        value.mul_(1 + torch.finfo(value.dtype).eps * sign)


def _distances(one: Trainer, other: Trainer) -> dict[str, float]:
    others = other.parameters()
    return {
        name: (value - others[name]).abs().max().item() for name, value in one.parameters().items()
    }
