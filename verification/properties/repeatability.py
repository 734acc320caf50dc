"""Repeatability: the same call gives the same bits, whatever was called before."""

import torch

from verification.properties.registry import Family, property_of
from verification.references.row import Trait
from verification.strategies.cases import ordinary
from verification.trials.trial import Trial


@property_of(Family.REPEATABILITY, cases=ordinary(empty_batch=False))
def check_same_call_gives_same_bits(trial: Trial) -> None:
    """A second call, and a call of a fresh instance, give the same bits as the first."""
    first = trial.results().copies()
    again = trial.results()
    for name, result in first.items():
        trial.require_same(name, again[name], result, "the first call gave that")
    fresh = trial.results(subject=trial.build())
    for name, result in first.items():
        trial.require_same(name, fresh[name], result, "another instance gave that")


@property_of(Family.REPEATABILITY, needs={Trait.BATCHED}, cases=ordinary(empty_batch=False))
def check_calls_between_change_nothing(trial: Trial) -> None:
    """A call on other numbers and a larger batch is not changed by the call before it, and changes
    none after it.
    """
    first = trial.results().copies()
    other = [
        {n: trial.member(n, torch.cat([t, t * -2, t])) for n, t in tensors.items()}
        for tensors in (trial.inputs, trial.cotangents)
    ]
    between = trial.results(other[0], None, other[1]).copies()
    again = trial.results()
    for name, result in first.items():
        trial.require_same(name, again[name], result, "it was that before another call")
    fresh = trial.results(other[0], None, other[1], subject=trial.build())
    for name, result in between.items():
        trial.require_same(name, result, fresh[name], "a fresh instance gives that")
