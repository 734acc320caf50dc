"""Modes: the same function by forward mode, by torch.func.vmap, under autocast, on tensors without
numbers, and by other code for the same map. What it does not offer is not exercised.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from gradcheck import rounding
from verification.cases.declarations import Surroundings
from verification.properties.batching import LOUD
from verification.properties.derivatives import function, require_finite, widened
from verification.properties.registry import Decides, Family, property_of
from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import Enclosures
from verification.references.row import Trait
from verification.references.rows.described import StandIn, enclosed_run
from verification.strategies.cases import ordinary
from verification.strategies.geometry import SMALL
from verification.subjects.described.function import DescribedSubject
from verification.subjects.entry import DESCRIBED, KEEPS_TO_VALUES, OPERATOR, REFERENCE, SAMPLES
from verification.trials.results import Part, gradients_of
from verification.trials.trial import Trial

NEEDS = frozenset({DESCRIBED, Trait.DIFFERENTIABLE, KEEPS_TO_VALUES})
PLAIN = ordinary(layouts=("contiguous",), empty_batch=False, limits=SMALL)

FEW = 0.25
"""The share of what hangs on sizes and settings, and on no number."""

T = TypeVar("T")


@property_of(Family.PARITY, needs=NEEDS | {REFERENCE}, cases=PLAIN)
def check_reference_gives_the_same(trial: Trial) -> None:
    """Outputs and gradients agree with those of the reference, where it is finite itself."""
    own = function(trial, _law(trial).widest)
    assert own.declared.reference is not None
    other = own.other(own.declared.reference)
    got = trial.results()
    for truths, pulled in ((trial.true_outputs, {}), (trial.truth.gradients, trial.cotangents)):
        found = _offered(trial, "the reference", lambda p=pulled: _run(trial, other, p))  # type: ignore[misc]
        named = gradients_of(found) if pulled else found
        for name, own_truth in (gradients_of(truths) if pulled else truths).items():
            if name not in named:
                continue
            truth = named[name]
            if not bool(truth.value.isfinite().all()):
                trial.unjudged("the reference is not finite here")
            error = truth.error + own_truth.error
            both = Enclosure(truth.value, error, truth.magnitude, False)
            trial.require_close(name, got[name], both, "the reference gives that")


@property_of(Family.GRADIENTS, needs=NEEDS, cases=PLAIN)
def check_forward_mode_agrees(trial: Trial) -> None:
    """<v, J u> by forward mode is <gradient of v, u>, where forward mode is offered."""
    if OPERATOR in trial.entry.have:
        trial.unjudged("torch gives a custom operator no forward mode: it takes it for zero")
    require_finite(trial)
    subject, gradients = function(trial, trial.dtype), trial.gradients()
    # Directions of every sign and size, none of them a multiple of an input.
    directions = {n: _direction(trial.inputs[n]) for n in gradients if n in trial.inputs}
    given = trial.inputs | {f"along {name}": u for name, u in directions.items()}
    pushed = _offered(trial, "forward mode", lambda: subject.pushed(trial.inputs, directions))
    along = {name: v for name, v in trial.cotangents.items() if name in pushed}
    wide = _Pushed(function(trial, _law(trial).widest))
    known = enclosed_run(
        wide, widened(given, _law(trial).widest), {}, trial.precision, frozenset(given)
    )
    pulled = {name: gradients[name].double() * u.double() for name, u in directions.items()}
    forward = sum((pushed[n].double() * v.double()).sum().item() for n, v in along.items())
    backward = sum(products.sum().item() for products in pulled.values())
    roundings = sum(products.abs().sum().item() for products in pulled.values())

    def bound(error: Callable[[Enclosure], Tensor | float]) -> float:
        truths = trial.truth.gradients
        parts = [error(known[name]) * v.abs().double() for name, v in along.items()]
        parts += [error(truths[name]) * u.abs().double() for name, u in directions.items()]
        own = rounding.unit_roundoff(trial.dtype) * roundings
        return sum(part.sum().item() for part in parts) + own

    if abs(forward - backward) <= bound(lambda enclosure: enclosure.least):
        return
    limit = bound(lambda enclosure: enclosure.error)
    trial.require(
        not abs(forward - backward) > limit,
        "value",
        "forward mode",
        f"forward mode disagrees with backward: <v, J u> is {forward:.9g}, <gradient of v, u> is"
        f" {backward:.9g}, bound {limit:.2g}",
    )


@property_of(Family.BATCHING, needs=NEEDS, cases=PLAIN)
def check_vmap_agrees(trial: Trial) -> None:
    """torch.func.vmap gives what calls one by one give, where it is offered."""
    subject = function(trial, trial.dtype)
    others = {name: trial.member(name, t * -2) for name, t in trial.inputs.items()}
    stacked = {name: torch.stack([t, others[name]]) for name, t in trial.inputs.items()}
    mapped = _offered(trial, "vmap", lambda: subject.mapped(stacked))
    for place, inputs in enumerate((trial.inputs, others)):
        truths = trial.enclose_outputs(inputs, {})
        for name, output in trial.forward(inputs).items():
            if name in truths:
                got, part = mapped[name][place], Part(1, output, truths[name])
                trial.require_sum(name, got, truths[name], part, why="a call on that alone")


@property_of(Family.PLACE, needs=NEEDS, cases=PLAIN, decides=Decides.CONTRACT)
def check_autocast_keeps_dtypes(trial: Trial) -> None:
    """Under autocast every gradient has its tensor's dtype, and an accuracy of bfloat16."""
    if trial.dtype != torch.float32:
        trial.unjudged("autocast is for float32")
    subject = function(trial, trial.dtype)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = trial.forward(subject=subject)
    smooth = {n: v.to(outputs[n].dtype) for n, v in trial.cotangents.items()}
    law, call = _law(trial), trial.case.layer
    given, pulled = (
        {n: Enclosure.of(t, exact=False) for n, t in tensors.items()}
        for tensors in (trial.inputs, trial.cotangents)
    )
    truths = law.backward(call, given, pulled, Precision(torch.bfloat16))
    got = gradients_of(trial.vjp(smooth, subject=subject))
    trial.require_results(got, gradients_of(truths))


@property_of(Family.PLACE, needs=NEEDS, cases=PLAIN, decides=Decides.CONTRACT, share=FEW)
def check_shapes_are_told_without_numbers(trial: Trial) -> None:
    """On tensors without numbers the function gives outputs of the same shapes and dtypes."""
    mode = FakeTensorMode()
    fake = {name: mode.from_tensor(tensor) for name, tensor in trial.inputs.items()}

    def told() -> dict[str, Tensor]:
        with mode:
            return function(trial, trial.dtype).forward(fake, {})

    outputs = trial.forward()
    shown = _offered(trial, "a run without numbers", told)
    for name, output in outputs.items():
        same = shown[name].shape == output.shape and shown[name].dtype == output.dtype
        trial.require(
            same,
            "shape",
            name,
            f"{name} is {tuple(shown[name].shape)} {shown[name].dtype} without numbers, and"
            f" {tuple(output.shape)} {output.dtype} with them",
        )


@property_of(
    Family.PLACE, needs=NEEDS | {OPERATOR}, cases=PLAIN, decides=Decides.CONTRACT, share=FEW
)
def check_operator_is_what_it_was_registered_as(trial: Trial) -> None:
    """torch.library.opcheck finds nothing: schema, autograd, tensors without numbers, tracing."""
    # Imported here: it brings torch's compiler, which takes longer than all the rest of the suite.
    from torch.testing._internal.optests.generate_tests import OpCheckError

    subject = function(trial, trial.dtype)
    operator = subject.callee.operator
    assert operator is not None
    given = tuple(
        t.detach().clone().requires_grad_(t.is_floating_point()) for t in trial.inputs.values()
    )
    try:
        torch.library.opcheck(operator, given, subject.settings)
    except OpCheckError as error:
        trial.fail("operator", "", str(error).partition("\n")[0])


@property_of(Family.BATCHING, needs=NEEDS | {SAMPLES}, cases=PLAIN)
def check_declared_samples_do_not_see_each_other(trial: Trial) -> None:
    """A sample's outputs and gradients stay the same among loud and infinite neighbours."""
    held = _samples(trial)
    count = min((len(trial.inputs[name]) for name in held), default=0)
    if count < 2:
        trial.unjudged("there are no two samples")
    base = trial.results().copies()
    for loudness in (LOUD, torch.inf):
        beside = {
            n: _among(trial, n, t, loudness) if n in held else t for n, t in trial.inputs.items()
        }
        got = trial.results(beside, None, trial.cotangents)
        whole = {*trial.true_outputs, *(f"{name} gradient" for name in held)}
        for name, result in got.items():
            truth = trial.true_results.get(name)
            if truth is None or name not in whole or result.shape[:1] != (count,):
                continue
            first, part = (
                truth.at(torch.tensor([0])),
                Part(1, base[name][:1], truth.at(torch.tensor([0]))),
            )
            why = f"alone, and not beside {loudness:.3g}"
            trial.require_sum(name, result[:1], first, part, why=why)


def _samples(trial: Trial) -> frozenset[str]:
    """The inputs whose first axis counts samples."""
    subject = trial.case.subject
    batch = Surroundings.of(subject.adapter).batch
    return frozenset(name for name, line in subject.inputs if line.split()[:1] == [batch])


def _among(trial: Trial, name: str, tensor: Tensor, loudness: float) -> Tensor:
    """The first sample of a tensor among loud ones."""
    if not tensor.is_floating_point():
        return tensor
    others = torch.full_like(tensor, loudness)
    others[:1] = tensor[:1]
    return trial.member(name, others)


def _direction(tensor: Tensor) -> Tensor:
    return torch.linspace(-1, 2, tensor.numel(), dtype=tensor.dtype).reshape(tensor.shape)


class _Pushed:
    """Forward mode as a map of inputs and directions."""

    offers: frozenset[str] = frozenset()

    def __init__(self, subject: DescribedSubject) -> None:
        self.name = subject.name
        self._subject = subject

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The directional derivatives; the directions are the inputs named "along ..."."""
        along = {n.removeprefix("along "): t for n, t in inputs.items() if n.startswith("along ")}
        own = {n: t for n, t in inputs.items() if not n.startswith("along ")}
        return self._subject.pushed(own, along)

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """It has none here."""
        raise NotImplementedError("forward mode is only evaluated")


def _law(trial: Trial) -> StandIn:
    law = trial.entry.row.law
    assert isinstance(law, StandIn)
    return law


def _run(trial: Trial, other: DescribedSubject, pulled: Mapping[str, Tensor]) -> Enclosures:
    law = _law(trial)
    wide, cotangents = widened(trial.inputs, law.widest), widened(pulled, law.widest)
    return enclosed_run(other, wide, cotangents, trial.precision, law.shaken)


def _offered(trial: Trial, what: str, act: Callable[[], T]) -> T:
    """What an act gives; where it raises, it is not offered. Torch's warnings refuse nothing."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return act()
    except Exception as error:
        trial.unjudged(f"{what} is not offered: it raises {type(error).__name__}")
