"""Batching: the samples of a batch, along axis 0, do not see each other."""

from collections.abc import Callable

import torch
from torch import Tensor

from verification.cases import Role
from verification.properties.registry import OF_A_LAW, Decides, Family, property_of
from verification.references.row import Clause, Trait
from verification.strategies.cases import CaseStrategy, ordinary
from verification.strategies.drawing import SearchStrategy, st
from verification.strategies.geometry import Limits
from verification.subjects.entry import TRUTH
from verification.trials.results import Part
from verification.trials.trial import Trial

LOUD = 2.0**40
"""A neighbour that would be heard: far above other numbers, and its products do not overflow."""


def _several(**options: Callable[[int], SearchStrategy[object]]) -> CaseStrategy:
    """Cases of two or three samples; each option is drawn from their number."""
    return ordinary(
        layouts=("contiguous",),
        limits=Limits(batches=(2, 3)),
        empty_batch=False,
        options=lambda geometry: st.fixed_dictionaries(
            {name: draw(geometry.inputs[0][1][0]) for name, draw in options.items()}
        ),
    )


ONE_SAMPLE = _several(sample=lambda count: st.integers(0, count - 1))
AN_ORDER = _several(order=lambda count: st.permutations(range(count)).map(tuple))
A_CUT = _several(cut=lambda count: st.integers(1, count - 1))
NO_SAMPLES = ordinary(layouts=("contiguous",), limits=Limits(batches=(0,)), empty_batch=False)


@property_of(Family.BATCHING, needs={TRUTH, Trait.BATCHED}, cases=ONE_SAMPLE, share=OF_A_LAW)
def check_samples_do_not_see_each_other(trial: Trial) -> None:
    """A sample's outputs and input gradients stay the same among loud neighbours."""
    sample = trial.case.option("sample")

    def among_others(tensor: Tensor) -> Tensor:
        # From -1 to 1: differences between neighbours must not cancel either.
        others = LOUD * torch.linspace(-1, 1, tensor.numel(), dtype=trial.dtype)
        others = others.to(tensor.device).reshape(tensor.shape)
        others[sample] = tensor[sample]
        return others

    base = _results(trial)
    for name, got in _results(trial, among_others).items():
        if name in _per_sample(trial):
            truth, expected = trial.true_results[name], got.clone()
            expected[sample] = base[name][sample]
            part = Part(1, expected, truth)
            trial.require_sum(name, got, truth, part, why="beside other, loud neighbours")


@property_of(Family.BATCHING, needs={TRUTH, Trait.BATCHED}, cases=AN_ORDER, share=OF_A_LAW)
def check_permuted_batch_gives_permuted_results(trial: Trial) -> None:
    """Samples in another order give their results in that order, and the same sums over them."""
    order = trial.case.option("order")
    places = torch.tensor(order)
    base = _results(trial)
    for name, got in _results(trial, lambda tensor: tensor[places]).items():
        truth, expected = trial.true_results[name], base[name]
        if name in _per_sample(trial):
            truth, expected = truth.at(places), expected[places]
        why = f"samples in the order {list(order)}"
        trial.require_sum(name, got, truth, Part(1, expected, truth), why=why)


@property_of(Family.BATCHING, needs={TRUTH, Trait.BATCHED}, cases=A_CUT, share=OF_A_LAW)
def check_split_batch_gives_split_results(trial: Trial) -> None:
    """Two parts of a batch, one after the other, give what the whole gives."""
    cut = trial.case.option("cut")
    whole = _results(trial)
    first, second = _results(trial, lambda t: t[:cut]), _results(trial, lambda t: t[cut:])
    for name, got in whole.items():
        truth = trial.true_results[name]
        if name in _per_sample(trial):
            parts = [Part(1, torch.cat([first[name], second[name]]), truth)]
        else:
            # A part sums some of the whole's terms, so the whole's bound holds for it too.
            parts = [Part(1, first[name], truth), Part(1, second[name], truth)]
        trial.require_sum(name, got, truth, *parts, why=f"its parts, cut at {cut}")


@property_of(
    Family.BATCHING,
    needs={TRUTH, Trait.BATCHED, Clause.EMPTY_BATCH},
    cases=NO_SAMPLES,
    decides=Decides.CONTRACT,
)
def check_empty_batch_gives_empty_results(trial: Trial) -> None:
    """No samples give no outputs, of the right shape, and parameter gradients of zero."""
    trial.require_results(trial.results(), trial.true_results)


def _results(trial: Trial, change: Callable[[Tensor], Tensor] = torch.clone) -> dict[str, Tensor]:
    """Copies of the results after a change of every tensor that holds samples."""
    inputs = {name: trial.member(name, change(t)) for name, t in trial.inputs.items()}
    cotangents = {name: change(tensor) for name, tensor in trial.cotangents.items()}
    batch = len(next(iter(inputs.values())))
    results = trial.results(inputs, None, cotangents)
    for name, truth in trial.true_results.items():
        shape = tuple(truth.value.shape)
        shape = (batch, *shape[1:]) if name in _per_sample(trial) else shape
        trial.require_like(name, results[name], shape)
    return {name: results[name].clone() for name in trial.true_results}


def _per_sample(trial: Trial) -> set[str]:
    """The results that have one part for every sample; the others are sums over samples."""
    return {*trial.true_outputs, *(f"{s.name} gradient" for s in trial.case.of_role(Role.INPUT))}
