"""Adjoint: a map that is linear in a tensor, and its backward, are one linear map seen twice.

Only relations between runs are judged; the truth lends no more than the bounds.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gradcheck import rounding
from verification.cases import Role
from verification.properties.registry import OF_A_LAW, Family, property_of
from verification.references.row import Trait
from verification.strategies.cases import ordinary
from verification.subjects.entry import LINEAR_BACKWARD, TRUTH
from verification.trials.results import Part
from verification.trials.trial import Trial

CASES = ordinary(layouts=("contiguous",), empty_batch=False)


@property_of(
    Family.ADJOINT,
    needs={TRUTH, Trait.LINEAR_IN_INPUT, Trait.DIFFERENTIABLE},
    cases=CASES,
    share=OF_A_LAW,
)
def check_input_gradient_is_adjoint(trial: Trial) -> None:
    """<f(x) - f(0), v> = <x, gradient of v>: backward is the transpose of forward."""
    _require_adjoint(trial, Role.INPUT)


@property_of(
    Family.ADJOINT,
    needs={TRUTH, Trait.LINEAR_IN_PARAMETERS, Trait.DIFFERENTIABLE},
    cases=CASES,
    share=OF_A_LAW,
)
def check_parameter_gradients_are_adjoint(trial: Trial) -> None:
    """<f(w) - f(0), v> = <w, gradient of v> for every parameter w."""
    _require_adjoint(trial, Role.PARAMETER)


@property_of(Family.ADJOINT, needs={TRUTH, Trait.LINEAR_IN_INPUT}, cases=CASES, share=OF_A_LAW)
def check_forward_superposes_in_input(trial: Trial) -> None:
    """f(x) = f(a) + f(b) - f(0) for x = a + b, and f(-2x) = 3 f(0) - 2 f(x)."""
    _require_superposition(trial, Role.INPUT)


@property_of(Family.ADJOINT, needs={TRUTH, Trait.LINEAR_IN_PARAMETERS}, cases=CASES, share=OF_A_LAW)
def check_forward_superposes_in_parameters(trial: Trial) -> None:
    """f(w) = f(a) + f(b) - f(0) for w = a + b, and f(-2w) = 3 f(0) - 2 f(w)."""
    _require_superposition(trial, Role.PARAMETER)


@property_of(Family.ADJOINT, needs={LINEAR_BACKWARD, Trait.DIFFERENTIABLE}, cases=CASES)
def check_backward_is_linear_in_cotangent(trial: Trial) -> None:
    """Gradients of v are the sum of those of its halves, -2 v gives -2 times them, 0 gives 0."""
    whole = trial.gradients()
    changed = [
        {name: change(v) for name, v in trial.cotangents.items()}
        for change in (_even, _odd, _scaled, torch.zeros_like)
    ]
    even, odd, scaled, none = map(trial.vjp, changed)
    # What cancels in the whole is there in its halves, and so are their errors.
    halves_truths = [
        trial.enclose_gradients(trial.inputs, trial.parameters, half) for half in changed[:2]
    ]
    for name, truth in trial.truth.gradients.items():
        fits = truth.value.abs() <= torch.finfo(trial.dtype).max
        if not bool(fits.all() and whole[name].isfinite().all()):
            continue  # 0 times an infinity is not 0
        tensor = f"{name} gradient"
        halves = [
            Part(1, half[name], true[name])
            for half, true in zip((even, odd), halves_truths, strict=True)
        ]
        trial.require_sum(tensor, whole[name], truth, *halves, why="its halves' sum")
        part = Part(-2, whole[name], truth)
        trial.require_sum(tensor, scaled[name], truth.times(-2), part, why="-2 times the cotangent")
        trial.require_same(tensor, none[name], torch.zeros_like(none[name]), "cotangent of 0")


def _require_adjoint(trial: Trial, role: Role) -> None:
    outputs, gradients = trial.forward(), trial.vjp()
    for spec in trial.case.of_role(role):
        name = spec.name
        base = _forward_with(trial, name, torch.zeros_like)
        through_forward = through_backward = bound = 0.0
        for output, v in trial.cotangents.items():
            for got in (outputs[output], base[output]):
                trial.require_like(output, got, tuple(v.shape))
            change = outputs[output].double() - base[output].double()
            # Both runs err, and the bound at 0 is no larger than the bound at x.
            value, error = _inner(change, v, 2 * trial.true_outputs[output].error)
            through_forward, bound = through_forward + value, bound + error
        truth = trial.truth.gradients[name]
        given = trial.placed[name].tensor
        trial.require_like(f"{name} gradient", gradients[name], tuple(given.shape))
        through_backward, error = _inner(gradients[name], given, truth.error)
        bound += error
        trial.require(
            abs(through_forward - through_backward) <= bound,
            "not adjoint",
            f"{name} gradient",
            f"backward is not the transpose of forward in {name}: <f({name}) - f(0), v> is "
            f"{through_forward:.9g}, <{name}, gradient> is {through_backward:.9g}, "
            f"bound {bound:.2g}",
        )


def _inner(computed: Tensor, factor: Tensor, error: Tensor) -> tuple[float, float]:
    """<computed, factor> in float64, and its bound if computed is off by at most `error`."""
    weight = factor.cpu().double()
    products = computed.cpu().double() * weight
    roundings = rounding.gamma(products.numel() + 1, rounding.unit_roundoff(torch.float64))
    bound = (error * weight.abs()).sum() + roundings * products.abs().sum()
    return products.sum().item(), bound.item()


def _require_superposition(trial: Trial, role: Role) -> None:
    whole = trial.forward()
    for spec in trial.case.of_role(role):
        even, odd, scaled, none = (
            _forward_with(trial, spec.name, change)
            for change in (_even, _odd, _scaled, torch.zeros_like)
        )
        for name, truth in trial.true_outputs.items():
            base = Part(-1, none[name], truth)
            halves = Part(1, even[name], truth), Part(1, odd[name], truth)
            trial.require_sum(
                name, whole[name], truth, *halves, base, why=f"its halves' sum in {spec.name}"
            )
            parts = Part(3, none[name], truth), Part(-2, whole[name], truth)
            twice = trial.enclose_outputs(*_with(trial, spec.name, _scaled))[name]
            trial.require_sum(name, scaled[name], twice, *parts, why=f"-2 times {spec.name}")


def _forward_with(trial: Trial, name: str, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """The outputs after one tensor is changed, copied: a later call may reuse their memory."""
    outputs = trial.forward(*_with(trial, name, change))
    return {output: value.clone() for output, value in outputs.items()}


def _with(
    trial: Trial, name: str, change: Callable[[Tensor], Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and parameters, one of them changed."""
    inputs, parameters = (
        {n: change(t) if n == name else t for n, t in tensors.items()}
        for tensors in (trial.inputs, trial.parameters)
    )
    return inputs, parameters


def _even(tensor: Tensor) -> Tensor:
    """Every second element, zeros between: a sum with `_odd` rounds nothing."""
    places = torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape)
    return tensor * (places % 2 == 0)


def _odd(tensor: Tensor) -> Tensor:
    return tensor - _even(tensor)


def _scaled(tensor: Tensor) -> Tensor:
    """-2 times a tensor: a power of two rounds nothing."""
    return -2 * tensor
