"""Graphs: what autograd may ask of a function beside one forward and one backward on all inputs.

Runs of the same code on the same numbers are compared with each other; no truth is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from verification.cases import Call, Case, Role
from verification.properties.derivatives import function
from verification.properties.registry import Family, property_of
from verification.references.row import Trait
from verification.strategies.cases import CaseStrategy, draw_tensor_specs, ordinary
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometry import SMALL, Geometry
from verification.strategies.tensors import DISTINCT
from verification.subjects.described.function import DescribedSubject
from verification.subjects.entry import DESCRIBED, Entry
from verification.trials.results import Part, gradients_of
from verification.trials.trial import Trial

NEEDS = frozenset({DESCRIBED, Trait.DIFFERENTIABLE})

ANY = ordinary(empty_batch=False, limits=SMALL)


def _choosing(names: Callable[[Geometry], tuple[str, ...]]) -> CaseStrategy:
    """Cases with one of these names as the option "chosen", in memory that can be written to."""
    return ordinary(
        empty_batch=False,
        limits=SMALL,
        layouts=DISTINCT,
        options=lambda geometry: st.fixed_dictionaries(
            {"chosen": st.sampled_from(names(geometry))}
        ),
    )


def _floating(geometry: Geometry) -> tuple[str, ...]:
    return tuple(name for name, _ in geometry.inputs)


def _after_another() -> CaseStrategy:
    """Cases with the tensors of another call, of other sizes under the same settings; the options
    are the extents that both calls must share.
    """
    first_calls = ordinary(
        empty_batch=False, limits=SMALL, options=lambda geometry: st.just(dict(geometry.kept))
    )

    def strategy(entry: Entry, property_name: str, device: str, dtype: str) -> SearchStrategy[Case]:
        cases = first_calls(entry, property_name, device, dtype)

        @st.composite
        def case(draw: DrawFn) -> Case:
            first = draw(cases)
            limits = replace(SMALL, fixed=first.layer.arguments + first.options)
            other = draw_tensor_specs(draw, entry, draw(entry.row.geometries(limits)))
            inputs = tuple(spec for spec in other if spec.role is Role.INPUT)
            return replace(first, calls=(Call("forward", inputs),))

        return case()

    return strategy


@property_of(Family.PROTOCOL, needs=NEEDS, cases=_after_another())
def check_calls_do_not_see_each_other(trial: Trial) -> None:
    """A call on other tensors, before or between the passes of another, changes nothing of it."""
    (call,) = trial.case.calls
    other = {spec.name: trial.make(spec).tensor for spec in call.tensors}
    if any(not tensor.numel() for tensor in other.values()):
        trial.unjudged("the other call has an empty tensor")
    alone = trial.results(subject=trial.build()).copies()
    between, here = trial.build(), trial.build()
    outputs = trial.forward(other, subject=between)
    pulled = {n: o for n, o in _smooth(between).items() if n in trial.cotangents}
    cotangents = {n: torch.ones_like(o).detach() for n, o in pulled.items()}
    trial.forward(subject=here)
    if cotangents:
        trial.vjp(cotangents, subject=between)
    for name, gradient in gradients_of(trial.vjp(subject=here)).items():
        trial.require_same(name, gradient, alone[name], "it was that without another call between")
    for name, output in trial.forward(other, subject=trial.build()).items():
        trial.require_same(name, outputs[name], output, "it was that before another call")


@property_of(Family.PROTOCOL, needs=NEEDS, cases=ANY)
def check_backward_may_run_again(trial: Trial) -> None:
    """A second backward through a graph that is kept gives the same gradients."""
    trial.forward()
    first = {name: gradient.clone() for name, gradient in trial.vjp().items()}
    for name, gradient in gradients_of(trial.vjp()).items():
        wanted = gradients_of(first)[name]
        trial.require_same(name, gradient, wanted, "the first backward gave that")


@property_of(Family.PROTOCOL, needs=NEEDS, cases=_choosing(_floating))
def check_an_input_may_ask_alone(trial: Trial) -> None:
    """An input's gradient is the same where it alone asks for one, and where all others do too."""
    chosen = trial.case.option("chosen")
    everything = gradients_of(trial.gradients())
    names = frozenset(trial.truth.gradients)
    if len(names) < 2 or chosen not in names:
        trial.unjudged("no other input has a gradient")
    for asking in (frozenset({chosen}), names - {chosen}):
        subject = function(trial, trial.dtype)
        subject.asking = asking
        got = gradients_of(trial.gradients(subject=subject))
        for name in asking:
            truth, tensor = trial.truth.gradients[name], f"{name} gradient"
            part = Part(1, everything[tensor], truth)
            why = f"it is that when all ask for one, and only {', '.join(sorted(asking))} did"
            trial.require_sum(tensor, got[tensor], truth, part, why=why)


@property_of(Family.PROTOCOL, needs=NEEDS, cases=_choosing(lambda geometry: geometry.outputs))
def check_outputs_may_be_unused(trial: Trial) -> None:
    """An output that is not used counts as one with a cotangent of zero."""
    chosen = trial.case.option("chosen")
    if len(trial.cotangents) < 2 or chosen not in trial.cotangents:
        trial.unjudged("there is one output")
    others = {name: v for name, v in trial.cotangents.items() if name != chosen}
    zero = torch.zeros_like(trial.cotangents[chosen])
    expected = gradients_of(trial.gradients(cotangents={**trial.cotangents, chosen: zero}))
    got = gradients_of(trial.gradients(cotangents=others))
    for name, truth in trial.truth.gradients.items():
        tensor = f"{name} gradient"
        part = Part(1, expected[tensor], truth)
        trial.require_sum(tensor, got[tensor], truth, part, why=f"a zero cotangent of {chosen}")


@property_of(
    Family.PROTOCOL,
    needs=NEEDS,
    cases=_choosing(lambda geometry: (*_floating(geometry), *geometry.outputs)),
)
def check_changes_between_the_passes_are_seen(trial: Trial) -> None:
    """An input or output changed in place between the passes is refused or harmless."""
    chosen = trial.case.option("chosen")
    expected = {n: g.clone() for n, g in gradients_of(trial.gradients()).items()}
    subject = trial.build()
    trial.forward(subject=subject)
    changed = trial.inputs.get(chosen, _smooth(subject).get(chosen))
    if changed is None or not changed.is_floating_point():
        trial.unjudged("there is nothing to change")
    with torch.no_grad():
        try:
            changed.add_(1)
            got = gradients_of(subject.vjp(trial.cotangents))
        except RuntimeError:
            return
    for name, truth in trial.truth.gradients.items():
        tensor = f"{name} gradient"
        part = Part(1, expected[tensor], truth)
        why = f"{chosen} was changed in place before backward, which save_for_backward would see"
        trial.require_sum(tensor, got[tensor], truth, part, why=why)


def _smooth(subject: object) -> dict[str, Tensor]:
    """The outputs of the latest forward that have a derivative, with their graph."""
    assert isinstance(subject, DescribedSubject)
    return {name: output for name, output in subject.outputs.items() if output.requires_grad}
