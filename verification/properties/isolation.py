"""Isolation: a call writes to no memory but its own, and shares none with what it returns."""

import torch
from torch import Tensor

from verification.properties.registry import Decides, Family, property_of
from verification.references.row import Clause
from verification.strategies.cases import ordinary
from verification.trials.materialise import Placed
from verification.trials.results import gradients_of
from verification.trials.trial import Trial

ANY = ordinary(empty_batch=False)


@property_of(Family.ISOLATION, cases=ANY)
def check_tensors_are_left_alone(trial: Trial) -> None:
    """Inputs, parameters, cotangents and the memory around them keep their bits."""
    trial.forward()
    _require_intact(trial, "forward", trial.placed)
    if trial.cotangents:
        trial.vjp()
        _require_intact(trial, "backward", trial.placed | _cotangents(trial))


@property_of(Family.ISOLATION, cases=ANY, needs={Clause.FRESH_OUTPUTS}, decides=Decides.CONTRACT)
def check_results_are_fresh(trial: Trial) -> None:
    """No output or gradient shares memory with the tensors given, or with itself."""
    given = trial.placed | _cotangents(trial)
    for name, result in trial.results().items():
        for owner, placed in given.items():
            trial.require(
                not _share(result, placed.buffer), "aliased", name, f"{name} is memory of {owner}"
            )
        trial.require(
            _distinct(result), "overlapping", name, f"elements of {name} share one place in memory"
        )


@property_of(Family.ISOLATION, cases=ANY, needs={Clause.FRESH_OUTPUTS}, decides=Decides.CONTRACT)
def check_results_are_independent(trial: Trial) -> None:
    """What a call returned changes with no later call, and writing to it changes no later call."""
    first = trial.results()
    kept = first.copies()
    trial.results({name: trial.member(name, t * -2) for name, t in trial.inputs.items()})
    for name, result in first.items():
        trial.require_same(name, result, kept[name], "a later call has changed it")
    outputs = trial.forward()
    for _ in range(2 if trial.cotangents else 0):
        for name, gradient in gradients_of(trial.vjp()).items():
            trial.require_same(name, gradient, kept[name], "after writing to earlier results")
            _overwrite(gradient)
        for output in outputs.values():
            _overwrite(output)


def _cotangents(trial: Trial) -> dict[str, Placed]:
    return {f"{name} cotangent": placed for name, placed in trial.placed_cotangents.items()}


def _require_intact(trial: Trial, call: str, given: dict[str, Placed]) -> None:
    for name, placed in given.items():
        damage = placed.damage()
        trial.require(not damage, "mutated", name, f"{call} writes to memory {damage} {name}")


def _overwrite(result: Tensor) -> None:
    # All bits set is a NaN. Written to the storage, since elements that share a place refuse it.
    storage = result.untyped_storage()
    torch.empty(0, dtype=torch.uint8, device=result.device).set_(storage).fill_(0xFF)


def _share(result: Tensor, buffer: Tensor) -> bool:
    return result.untyped_storage().data_ptr() == buffer.untyped_storage().data_ptr()


def _distinct(result: Tensor) -> bool:
    """Whether every element has a place of its own."""
    if not result.numel():
        return True
    span = 1 + sum((n - 1) * step for n, step in zip(result.shape, result.stride(), strict=True))
    places = torch.arange(span).as_strided(result.shape, result.stride())
    return len(set(places.flatten().tolist())) == result.numel()
