"""Derivatives of a function that is known by its inputs' description: first and second ones against
finite differences, inside the inputs' domains, within estimated bounds.

What is a gradient on purpose without being the derivative is judged by what its user declared of
it; where nothing was declared, the failure says what the gradient looks like.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from gradcheck import GradientReport, check_gradients, rounding
from gradcheck.differences.evaluation import PointError
from gradcheck.second_order import SecondOrder
from gradcheck.subjects import FunctionSubject, Subject
from verification.cases import Role
from verification.properties.gradients import fail_with
from verification.properties.registry import Family, property_of
from verification.references.laws.enclosure import Enclosure
from verification.references.row import Trait
from verification.references.rows.described import StandIn, enclosed_run
from verification.strategies.cases import ordinary
from verification.strategies.geometry import Limits
from verification.subjects.described.constrained import Constrained
from verification.subjects.described.function import DescribedSubject
from verification.subjects.entry import DESCRIBED
from verification.subjects.hosted import Hosted, on_host
from verification.trials.trial import Trial

Tensors = Mapping[str, Tensor]

DRAWS, MANY_DRAWS = 100, 1600
"""Draws whose mean gradient is compared with the derivative of the declared mean: few where these
agree within the bound that many have.
"""

HALF = 0.5
"""The share of second derivatives: an example of them takes as long as ten of another property."""

PLAIN = ordinary(layouts=("contiguous",), empty_batch=False)
FEW = ordinary(layouts=("contiguous",), empty_batch=False, limits=Limits(elements=8))


@property_of(Family.GRADIENTS, needs={DESCRIBED, Trait.DIFFERENTIABLE}, cases=PLAIN)
def check_gradients_are_derivatives_of_forward(trial: Trial) -> None:
    """Every gradient is the derivative of the function's own forward, or what is declared of it."""
    require_finite(trial)
    declared = function(trial, trial.dtype).declared
    if declared.vjp is not None:
        require_rule(trial, declared.vjp)
        return
    if declared.stochastic is not None:
        require_mean(trial, declared.stochastic)
        return
    # An output without a derivative has a cotangent too, and it counts for nothing.
    others = {
        name: torch.zeros_like(truth.value, dtype=trial.dtype)
        for name, truth in trial.true_outputs.items()
    }
    report = judge(
        trial,
        moving(trial),
        others | trial.cotangents,
        lambda dtype: Claimed(function(trial, dtype)),
        declared.approximate,
    )
    if report.mismatches:
        fail_with(trial, report, hint(report, trial.cotangents))


@property_of(Family.GRADIENTS, needs={DESCRIBED, Trait.DIFFERENTIABLE}, cases=FEW, share=HALF)
def check_second_derivatives_are_right_or_refused(trial: Trial) -> None:
    """The double backward is the derivative of backward; refused, it counts as not exercised."""
    law = trial.entry.row.law
    assert isinstance(law, StandIn)
    if trial.dtype != law.widest:
        # The code is one for both, and a call for every entry of every tensor is dear.
        trial.unjudged("second derivatives are judged in float64, which hides least")
    require_finite(trial)
    outputs = tuple(trial.cotangents)

    def build(dtype: torch.dtype) -> SecondOrder:
        return SecondOrder(function(trial, dtype), outputs)

    second = build(trial.dtype)
    given = moving(trial) | {f"cotangent of {name}": v for name, v in trial.cotangents.items()}
    gradients = trial.attempt("the first backward with a graph raises", second.forward, given, {})
    if second.refused:
        trial.unjudged("second derivatives are refused by once_differentiable")
    if not all(bool(g.isfinite().all()) for g in gradients.values()):
        trial.unjudged("the gradient is not finite here")
    # One number as large as the others, and none of them 0.
    weights = {
        name: 1 + torch.arange(g.numel()).reshape(g.shape).to(g) for name, g in gradients.items()
    }
    report = judge(trial, given, weights, build)
    if not report.mismatches:
        return
    if second.cut_off:
        trial.fail(
            "detached",
            "second derivative",
            "the second derivative is taken for zero and is not: backward computes on tensors"
            " without a graph; mark it with once_differentiable, or let autograd see it",
        )
    if all(math.isnan(worst.got) for worst in report.mismatches):
        # True at a boundary, and of another severity than a wrong number: autograd shows it.
        trial.unjudged("the second derivative is not a number here")
    fail_with(trial, report)


def moving(trial: Trial) -> dict[str, Tensor]:
    """The inputs, and the parameters that a module has."""
    return trial.inputs | dict(function(trial, trial.dtype).own)


def function(trial: Trial, dtype: torch.dtype) -> DescribedSubject:
    """A fresh subject in that dtype."""
    subject = trial.entry.build(trial.case.layer, dtype, trial.device)
    assert isinstance(subject, DescribedSubject)
    return subject


def judge(
    trial: Trial,
    inputs: Tensors,
    cotangents: Tensors,
    build: Callable[[torch.dtype], Subject],
    approximate: float = 0.0,
) -> GradientReport:
    """The report on all inputs that have a derivative. What is wrong by the noise that was seen is
    judged again by that of simulated roundings, which see what cancels. A gradient may be off by
    the share `approximate` of its largest entry.
    """
    constant = {spec.name for spec in trial.case.of_role(Role.INPUT)} - {*trial.truth.gradients}
    wrt = [name for name in inputs if name not in constant]
    if not wrt:
        trial.unjudged("no input has a derivative")

    def judged(**errors: Any) -> GradientReport:
        subject = Hosted(Constrained.by(build(trial.dtype), trial.case.tensors), trial.device)
        try:
            return check_gradients(
                subject,
                inputs=on_host(inputs),
                cotangents=on_host(cotangents),
                wrt=wrt,
                **errors,
            )
        except PointError:
            trial.unjudged("the function has no value beside this point")

    report = trial.attempt("forward or backward raises", judged)
    hidden = function(trial, trial.dtype).manner.hidden
    plain = not hidden and not approximate and _is_plain(report, inputs, cotangents)
    if report.mismatches and not plain:
        estimates = Estimates(trial, build)
        report = judged(
            evaluation_error=estimates.of_outputs,
            analytic_error=estimates.of_gradients(inputs, cotangents, approximate),
        )
    trial.count("entries compared", report.comparisons)
    trial.count("entries undecided", report.undecided)
    trial.require(not report.complaints, "complaint", "", str(report))
    return report


def _is_plain(report: GradientReport, inputs: Tensors, cotangents: Tensors) -> bool:
    """Whether rounding is out of the question: a difference of more than half of the digits of the
    cotangents, between inputs whose sizes leave the other half to what cancels.
    """
    largest = max((_largest(c) for c in cotangents.values()), default=0.0)
    moving = [t for t in inputs.values() if t.is_floating_point()]
    roundoff = max(rounding.unit_roundoff(t.dtype) for t in moving)
    difference = max((abs(m.got - m.expected) for m in report.mismatches), default=0.0)
    moderate = all(_largest(t) <= roundoff**-0.25 for t in moving)
    return moderate and not difference <= roundoff**0.5 * max(largest, 1.0)


class Claimed:
    """A function with the backward that is declared of it: another forward, a factor."""

    offers: frozenset[str] = frozenset()

    def __init__(self, own: DescribedSubject) -> None:
        self.name = own.name
        self._own = own
        claimed = own.declared.derivative_of
        self._other = own if claimed is None else own.other(claimed)

    def forward(self, inputs: Tensors, parameters: Tensors) -> dict[str, Tensor]:
        """The outputs of the forward that the backward is the derivative of."""
        own = self._own.forward(inputs, parameters)
        return own if self._other is self._own else self._other.forward(inputs, parameters)

    def vjp(self, cotangents: Tensors) -> dict[str, Tensor]:
        """The function's gradients, without the declared factor."""
        factor = self._own.declared.scaled_by
        return {name: g / factor for name, g in self._own.vjp(cotangents).items()}


def require_rule(trial: Trial, rule: Callable[..., Any]) -> None:
    """Every gradient is what the declared rule makes of the inputs and cotangents."""
    law = trial.entry.row.law
    assert isinstance(law, StandIn)
    own = function(trial, law.widest)

    def by_rule(*tensors: Tensor) -> Any:
        return rule(*tensors, **own.settings)

    ruled = FunctionSubject(lambda *tensors: own.call(list(tensors), {}), by_rule)
    wide, pulled = widened(trial.inputs, law.widest), widened(trial.cotangents, law.widest)
    enclosed = enclosed_run(ruled, wide, pulled, trial.precision, law.shaken)
    got = trial.gradients()
    for name, truth in trial.truth.gradients.items():
        expected = enclosed[name]
        both = Enclosure(expected.value, expected.error + truth.error, expected.magnitude, False)
        trial.require_close(f"{name} gradient", got[name], both, "the declared rule gives that")


def require_mean(trial: Trial, mean: Callable[..., Any]) -> None:
    """The mean of every gradient over draws is the derivative of the function's declared mean."""
    subject = function(trial, trial.dtype)
    expected = subject.other(mean)
    expected.forward(trial.inputs, {})
    wanted = {n: g.double() for n, g in expected.vjp(trial.cotangents).items() if g.numel()}

    def drawn(count: int) -> dict[str, Tensor]:
        several: dict[str, list[Tensor]] = {name: [] for name in wanted}
        for subject.seed in range(count):
            gradients = trial.gradients(subject=subject)
            for name, draws in several.items():
                draws.append(gradients[name].double())
        return {name: torch.stack(draws) for name, draws in several.items()}

    def bound(name: str, draws: Tensor) -> Tensor:
        noise: Tensor = rounding.NOISE_SAFETY * draws.std(0) / MANY_DRAWS**0.5
        u = rounding.unit_roundoff(trial.dtype)
        return wanted[name].abs() * rounding.gamma(MANY_DRAWS, u) + noise

    several = drawn(DRAWS)
    off = {name: (draws.mean(0) - wanted[name]).abs() for name, draws in several.items()}
    if any(bool((off[name] > bound(name, draws)).any()) for name, draws in several.items()):
        several = drawn(MANY_DRAWS)
    for name, draws in several.items():
        value = wanted[name]
        truth = Enclosure(value, bound(name, draws), value.abs(), False)
        why = f"the mean of {len(draws)} draws"
        trial.require_close(f"{name} gradient", draws.mean(0).to(trial.dtype), truth, why)


def widened(tensors: Tensors, dtype: torch.dtype) -> dict[str, Tensor]:
    """The floating ones of these tensors in that dtype."""
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}


class Estimates:
    """How far rounding may carry a subject at any point, in the precision of the trial."""

    def __init__(self, trial: Trial, build: Callable[[torch.dtype], Subject]) -> None:
        law = trial.entry.row.law
        assert isinstance(law, StandIn)
        self._law, self._precision = law, trial.precision
        self._subject = Constrained.by(build(law.widest), trial.case.tensors)

    def of_outputs(self, inputs: Tensors, parameters: Tensors) -> dict[str, Tensor]:
        """By output name."""
        return self._errors(inputs, {})

    def of_gradients(
        self, inputs: Tensors, cotangents: Tensors, approximate: float
    ) -> dict[str, Tensor]:
        """By input name, with that share of the largest entry."""
        return self._errors(inputs, cotangents, approximate)

    def _errors(
        self, inputs: Tensors, cotangents: Tensors, approximate: float = 0.0
    ) -> dict[str, Tensor]:
        wide, pulled = (widened(tensors, self._law.widest) for tensors in (inputs, cotangents))
        shaken = self._law.shaken | {n for n in inputs if n not in self._law.known}
        enclosed = enclosed_run(self._subject, wide, pulled, self._precision, shaken)
        return {n: e.error + approximate * _largest(e.value) for n, e in enclosed.items()}


def _largest(values: Tensor) -> float:
    """The largest finite absolute value; 0 where there is none."""
    sizes = values.abs().nan_to_num(0.0, 0.0)
    return sizes.max().item() if sizes.numel() else 0.0


def require_finite(trial: Trial) -> None:
    """End the trial where the function's own float64 run is not finite: no derivative is there."""
    for spec in trial.case.of_role(Role.COTANGENT):
        if spec.name in trial.true_outputs:
            value = trial.true_outputs[spec.name].value
            large = value.abs() > torch.finfo(trial.dtype).max
            if bool((large | ~value.isfinite()).any()):
                trial.unjudged("the function is not finite here")


def hint(report: GradientReport, cotangents: Tensors) -> str:
    """What a wrong gradient may be, on purpose or not, and how to declare it."""
    worst = report.mismatches[0]
    if not any(bool(c.any()) for c in cotangents.values()):
        return "the cotangent is 0, and backward does not look at it"
    every = [m for m in report.mismatches if m.tensor == worst.tensor]
    if all(m.got == 0 for m in every):
        return (
            f"if {worst.tensor} has no gradient by contract, declare constant={{'{worst.tensor}'}}"
        )
    if all(m.expected == 0 for m in every):
        return "if it is a straight-through or surrogate gradient, declare derivative_of=function"
    ratios = {round(m.got / m.expected, 3) for m in every if m.expected}
    if len(ratios) == 1:
        return f"if it is so on purpose, declare scaled_by={ratios.pop():g}"
    return ""
