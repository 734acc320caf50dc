"""A layer that drops numbers at random, as one whose mask is known.

No layer can be told which numbers to drop. But a seeded one drops the same numbers twice, and what
it makes of ones says which; so it is run under one seed after another until every number has been
kept, or dropped, as the mask wants it, and each is taken from a run in which it was.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradcheck.subjects import Subject
from verification.references.laws.law import INPUT, OUTPUT
from verification.subjects.seeded import seeded

MOST_RUNS = 1000
"""So many runs in which a number was never kept, or never dropped, and it never will be."""

PERIOD = 3
"""Of so many numbers, in row-major order, one is dropped."""


def wanted_mask(shape: tuple[int, ...], probability: float) -> Tensor:
    """Which numbers of a tensor of that shape are kept, bool: the same of every sample along axis
    0, all where nothing is dropped, and none where everything is.
    """
    if probability in (0, 1):
        return torch.full(shape, probability == 0)
    size = torch.Size(shape[1:]).numel()
    kept = (size + torch.arange(size)) % PERIOD != 1
    return kept.reshape(shape[1:]).expand(shape)


@dataclass(frozen=True)
class _Run:
    """A seed, and the numbers that are taken from the run that it gives."""

    seed: int
    taken: Tensor


class Masked:
    """The subject under the mask that `wanted_mask` says for its probability."""

    offers: frozenset[str] = frozenset()

    def __init__(self, subject: Subject, probability: float) -> None:
        self.name = subject.name
        self.layer = getattr(subject, "layer", subject)
        self.takes_training: bool = getattr(subject, "takes_training", False)
        self._subject = subject
        self._probability = probability
        self._x = torch.empty(0)
        self._runs: list[_Run] = []

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The output, each number from a run in which it was kept or dropped as wanted."""
        self._x = inputs[INPUT]
        self._runs = self._find_runs(self._x)
        output = torch.full_like(self._x, torch.nan, memory_format=torch.contiguous_format)
        for run in self._runs:
            output = torch.where(run.taken, self._forward(run.seed, self._x), output)
        return {OUTPUT: output}

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradient, each number from a run of its own as above."""
        gradient = torch.full_like(self._x, torch.nan, memory_format=torch.contiguous_format)
        for run in self._runs:
            self._forward(run.seed, self._x)
            gradient = torch.where(run.taken, self._subject.vjp(cotangents)[INPUT], gradient)
        return {INPUT: gradient}

    def _find_runs(self, x: Tensor) -> list[_Run]:
        # The order in which a layer draws may follow the memory, so ones lie as x does.
        ones = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device).fill_(1)
        wanted = wanted_mask(tuple(x.shape), self._probability).to(x.device)
        missing = torch.ones_like(wanted)
        runs: list[_Run] = []
        while not runs or bool(missing.any()):
            if len(runs) == MOST_RUNS:
                raise RuntimeError(
                    f"in {MOST_RUNS} runs with p = {self._probability} entry"
                    f" {missing.nonzero()[0].tolist()} was never"
                    f" {'kept' if bool(wanted[missing][0]) else 'dropped'}"
                )
            seed = len(runs)
            kept = self._forward(seed, ones) != 0
            if not torch.equal(kept, self._forward(seed, ones) != 0):
                raise RuntimeError(
                    "torch.manual_seed, numpy.random.seed and random.seed do not repeat the mask:"
                    " draw it from a generator that one of them seeds"
                )
            taken = missing & (kept == wanted)
            missing = missing & ~taken
            runs.append(_Run(seed, taken))
        return runs

    def _forward(self, seed: int, x: Tensor) -> Tensor:
        with seeded(seed):
            random.seed(seed)
            if "numpy" in sys.modules:
                sys.modules["numpy"].random.seed(seed)
            return self._subject.forward({INPUT: x}, {})[OUTPUT]
