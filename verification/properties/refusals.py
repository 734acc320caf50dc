"""Refusals: a wrong use raises the right error, in words that help, before anything was changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from verification.properties.registry import Decides, Family, property_of
from verification.references.laws.law import OUTPUT
from verification.references.row import Clause, Trait
from verification.strategies.cases import ordinary, refused_uses
from verification.strategies.drawing import SearchStrategy, st
from verification.strategies.geometry import SMALL, Geometry
from verification.subjects.driving.optimizers import OptimizerSubject
from verification.subjects.entry import DECLARED_REFUSALS, TRUTH
from verification.subjects.raw import RawLayer
from verification.trials.refused import all_tensors, other_dtype, require_refusal, untouched
from verification.trials.results import gradients_of
from verification.trials.trial import Trial


@property_of(
    Family.REFUSALS,
    needs={Clause.REFUSALS, DECLARED_REFUSALS},
    cases=refused_uses(),
    decides=Decides.CONTRACT,
    # A convolution has about 100 wrong uses; three draws for each of them meet 95 %.
    share=3,
)
def check_declared_refusals(trial: Trial) -> None:
    """What the row says must be refused is refused, by its error and naming what is wrong."""
    case = trial.case
    error, says = case.option("error"), case.option("says")
    if case.option("when") == "build":
        build, arguments = trial.entry.build, (case.layer, trial.dtype, trial.device)
        require_refusal(trial, lambda: build(*arguments), error, str(case.layer), says)
        return
    subject, tensors = trial.subject, trial.inputs | trial.parameters
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
    with untouched(trial, lambda: tensors, "a refused forward"):
        require_refusal(
            trial,
            lambda: subject.forward(trial.inputs, trial.parameters),
            error,
            f"forward on {shapes}",
            says,
        )


@dataclass(frozen=True)
class Mistake:
    """What stands in a right tensor's place, the error that answers it, and what that must say."""

    spoil: Callable[[Tensor], object]
    error: str
    says: Callable[[Tensor], tuple[str, ...]]


def _longer(right: Tensor) -> Tensor:
    return right.new_ones(*right.shape[:-1], right.shape[-1] + 1)


def _shapes(spoil: Callable[[Tensor], Tensor]) -> Mistake:
    def says(right: Tensor) -> tuple[str, ...]:
        return str(tuple(spoil(right).shape)), str(tuple(right.shape))

    return Mistake(spoil, "ValueError", says)


ALONE = {
    "a list": Mistake(lambda right: [right], "TypeError", lambda right: ("list",)),
    "integers": Mistake(lambda right: right.long(), "ValueError", lambda right: ("int64",)),
    # On the host: not every device has sparse tensors.
    "a sparse tensor": Mistake(
        lambda right: right.cpu().to_sparse(), "ValueError", lambda right: ("sparse",)
    ),
}
"""Mistakes that any tensor may make."""

AMONG_OTHERS = {
    "another dtype": Mistake(
        lambda right: right.to(other_dtype(right.dtype)),
        "ValueError",
        lambda right: (str(other_dtype(right.dtype)), str(right.dtype)),
    ),
    "another device": Mistake(
        lambda right: right.to("meta"),
        "ValueError",
        lambda right: ("meta", right.device.type),
    ),
}
"""Mistakes of a tensor that must agree with another one."""

SHAPES = {
    "an axis more": _shapes(lambda right: right.unsqueeze(0)),
    "one entry more": _shapes(_longer),
    "a scalar": _shapes(torch.sum),
}
"""Mistakes of a tensor whose shape is given; two of them would broadcast."""


def _wrong_input(geometry: Geometry) -> SearchStrategy[dict[str, str]]:
    """Which input is spoilt, and how; one that stands alone has nothing to agree with."""
    alone = len(geometry.inputs) + len(geometry.parameters) == 1
    return st.fixed_dictionaries(
        {
            "tensor": st.sampled_from([name for name, _ in geometry.inputs]),
            "mistake": st.sampled_from(list(ALONE if alone else ALONE | AMONG_OTHERS)),
        }
    )


@property_of(
    Family.REFUSALS,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.REFUSALS},
    cases=ordinary(limits=SMALL, options=_wrong_input),
    decides=Decides.CONTRACT,
)
def check_bad_inputs_are_refused(trial: Trial) -> None:
    """An input that is no tensor, not floating, or of another dtype or device than the rest is
    refused.
    """
    name, what = trial.case.option("tensor"), trial.case.option("mistake")
    mistake, right = (ALONE | AMONG_OTHERS)[what], trial.inputs[name]
    spoilt: dict[str, Any] = trial.inputs | {name: mistake.spoil(right)}
    trial.results()  # gradients that the refused call must leave alone
    with untouched(trial, lambda: all_tensors(trial), "a refused forward"):
        require_refusal(
            trial,
            lambda: trial.subject.forward(spoilt, trial.parameters),
            mistake.error,
            f"forward on {what} as {name}",
            (name, *mistake.says(right)),
        )
    trial.require_results(trial.results(), trial.true_results)


def _wrong_cotangent(geometry: Geometry) -> SearchStrategy[dict[str, str]]:
    """How the cotangent is spoilt."""
    return st.fixed_dictionaries({"mistake": st.sampled_from(list(ALONE | AMONG_OTHERS | SHAPES))})


@property_of(
    Family.REFUSALS,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.REFUSALS, "zero"},
    cases=ordinary(limits=SMALL, options=_wrong_cotangent),
    decides=Decides.CONTRACT,
)
def check_bad_cotangents_are_refused(trial: Trial) -> None:
    """A cotangent that is no tensor, not floating, or not like the output is refused."""
    what, raw = trial.case.option("mistake"), RawLayer(trial.subject)
    mistake, right = (ALONE | AMONG_OTHERS | SHAPES)[what], trial.cotangents[OUTPUT]
    trial.results()
    with untouched(trial, lambda: all_tensors(trial), "a refused backward"):
        require_refusal(
            trial,
            lambda: raw.layer.backward(mistake.spoil(right)),
            mistake.error,
            f"backward on {what} as {raw.cotangent_names[0]}",
            (raw.cotangent_names[0], *mistake.says(right)),
        )
    trial.require_results(gradients_of(trial.vjp()), gradients_of(trial.truth.gradients))


def _wrong_part(geometry: Geometry) -> SearchStrategy[dict[str, Any]]:
    """Which parameter is spoilt, its gradient or its data or both alike, and how."""
    names = [name for name, _ in geometry.inputs if name.startswith("w")]
    return st.fixed_dictionaries(
        {
            "parameter": st.integers(0, len(names) - 1),
            "parts": st.sampled_from([("grad",), ("data",), ("grad", "data")]),
            "mistake": st.sampled_from(list(AMONG_OTHERS | SHAPES)),
        }
    )


@property_of(
    Family.REFUSALS,
    needs={Clause.REFUSALS, "step"},
    cases=ordinary(limits=SMALL, options=_wrong_part),
    decides=Decides.CONTRACT,
)
def check_steps_that_do_not_fit_are_refused(trial: Trial) -> None:
    """A step with a gradient or a parameter of another shape, dtype or device than at the start is
    refused before anything changes; zero_grad makes every gradient zero.
    """
    place, parts = trial.case.option("parameter"), trial.case.option("parts")
    what = trial.case.option("mistake")
    mistake = (AMONG_OTHERS | SHAPES)[what]
    subject = trial.subject
    if not isinstance(subject, OptimizerSubject):
        raise TypeError(f"{subject.name} is no optimiser: it has no steps")
    weights, optimizer = trial.attempt("cannot be built", subject.start, trial.inputs)
    held = list(weights.values())
    for i, weight in enumerate(held):
        weight.grad = trial.inputs[f"g{i}.0"].clone()
    right = {part: getattr(held[place], part) for part in parts}
    for part, tensor in right.items():
        setattr(held[place], part, mistake.spoil(tensor))
    others = {f"w{i}": weight.data for i, weight in enumerate(held) if i != place}
    with untouched(trial, lambda: others, "a refused step"):
        require_refusal(
            trial,
            optimizer.step,
            mistake.error,
            f"step with {what} as {' and '.join(parts)} of params[{place}]",
            (f"params[{place}].{parts[0]}", *mistake.says(right[parts[0]])),
        )
    for part, tensor in right.items():
        setattr(held[place], part, tensor)
    trial.attempt("zero_grad raises", optimizer.zero_grad)
    for i, weight in enumerate(held):
        name = f"gradient of w{i}"
        trial.require_same(name, weight.grad, torch.zeros_like(weight.data), "zero_grad was called")
