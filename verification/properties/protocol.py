"""Protocol: what holds over a sequence of calls on one instance, judged against a model of it."""

import torch
from torch import Tensor

from verification.properties.registry import OF_A_LAW, Decides, Family, property_of
from verification.references.laws.enclosure import Enclosure
from verification.references.row import Clause, Trait
from verification.strategies.calls import BACKWARD, FORWARD, SET_PARAMETERS, ZERO_GRAD, sequences
from verification.strategies.cases import ordinary
from verification.strategies.drawing import SearchStrategy, st
from verification.strategies.geometry import SMALL, Geometry
from verification.strategies.tensors import DISTINCT
from verification.subjects.entry import TRUTH
from verification.subjects.raw import RawLayer
from verification.trials.model import Model
from verification.trials.refused import all_tensors, other_dtype, require_refusal, untouched
from verification.trials.results import gradients_of
from verification.trials.trial import Trial


@property_of(
    Family.PROTOCOL,
    needs={TRUTH, Trait.DIFFERENTIABLE},
    cases=sequences(FORWARD, BACKWARD, SET_PARAMETERS),
)
def check_latest_forward_counts(trial: Trial) -> None:
    """Outputs and gradients are those of the latest forward, whatever was called before."""
    model = Model(trial)
    for call in trial.case.calls:
        match call.kind:
            case "set_parameters":
                model.set_parameters(call)
            case "forward":
                truth = model.forward(call)
                trial.require_results(trial.forward(model.inputs, model.parameters), truth)
            case "backward":
                cotangents = model.cotangents(call)
                got = trial.vjp(cotangents)
                trial.require_results(gradients_of(got), gradients_of(model.backward(cotangents)))


@property_of(
    Family.PROTOCOL,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.ACCUMULATION, "accumulate", "zero"},
    cases=sequences(FORWARD, BACKWARD, ZERO_GRAD, SET_PARAMETERS),
    decides=Decides.CONTRACT,
)
def check_gradients_accumulate(trial: Trial) -> None:
    """Every backward adds to the parameters' gradients, and nothing but zero_grad empties them."""
    if not trial.parameters:
        trial.unjudged("no parameters")
    raw, model = RawLayer(trial.subject), Model(trial)
    raw.set_parameters(model.parameters)
    for call in trial.case.calls:
        match call.kind:
            case "set_parameters":
                raw.set_parameters(model.set_parameters(call))
            case "forward":
                model.forward(call)
                trial.attempt("forward raises", raw.forward, model.inputs)
            case "backward":
                cotangents = model.cotangents(call)
                model.backward(cotangents)
                trial.attempt("backward raises", raw.backward, cotangents)
            case "zero_grad":
                model.zero_grad()
                trial.attempt("zero_grad raises", raw.layer.zero_grad)
        _require_held(trial, raw, model)


def _require_held(trial: Trial, raw: RawLayer, model: Model) -> None:
    """The layer holds the model's parameters, bit for bit, and the model's sums as gradients."""
    for name, held in raw.held.items():
        trial.require_same(name, held.value, model.parameters[name], "no call may change it")
        gradient = held.gradient
        if gradient is None:
            trial.fail("missing", f"{name} gradient", f"{name}.grad is None, not a tensor")
        nothing = Enclosure.of(torch.zeros(held.value.shape), exact=True)
        trial.require_close(f"{name} gradient", gradient, model.sums.get(name, nothing))


@property_of(
    Family.PROTOCOL,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.ACCUMULATION, Clause.ORDER_OF_CALLS},
    cases=ordinary(limits=SMALL),
    decides=Decides.CONTRACT,
    share=OF_A_LAW,
)
def check_parameters_alone_get_the_same(trial: Trial) -> None:
    """backward_parameters, where there is one, leaves the input's gradient out and nothing else: it
    adds what backward adds, bit by bit, and is refused before any forward.
    """
    # Asked first: a function of a stranger's has no raw calls either.
    if not hasattr(getattr(trial.subject, "layer", None), "backward_parameters"):
        trial.unjudged("no backward_parameters")
    raw, other, cotangents = RawLayer(trial.subject), RawLayer(trial.build()), trial.cotangents
    alone = other.layer.backward_parameters
    require_refusal(
        trial,
        lambda: alone(*cotangents.values()),
        "RuntimeError",
        "backward_parameters before forward",
        says=["forward"],
    )
    for layer in (raw, other):
        layer.set_parameters(trial.parameters)
        trial.attempt("forward raises", layer.forward, trial.inputs)
    trial.attempt("backward raises", raw.backward, cotangents)
    returned = trial.attempt("backward_parameters raises", alone, *cotangents.values())
    trial.require(returned is None, "returned", "", "backward_parameters returns something")
    left, added = raw.tensors(), other.tensors()
    for name in sorted(left.keys() ^ added.keys()):
        only = "backward" if name in left else "backward_parameters"
        trial.fail("missing", name, f"only {only} leaves one")
    for name, held in added.items():
        trial.require_same(name, held, left[name], "backward leaves that")


@property_of(
    Family.PROTOCOL,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.STATE, Clause.REFUSALS, "zero", "state"},
    cases=ordinary(limits=SMALL),
    decides=Decides.CONTRACT,
)
def check_zero_grad_fits_the_data(trial: Trial) -> None:
    """zero_grad zeroes a gradient in its place, and replaces one that no longer fits because the
    parameter was rebound; until then backward is refused, and forward where the parameter does not
    fit the layer. param, where there is one, shows the very values and gradients.
    """
    if not trial.parameters:
        trial.unjudged("no parameters")
    raw, given = RawLayer(trial.subject), trial.parameters
    if not raw.rebinds:
        trial.unjudged("a parameter cannot be bound to another tensor")
    other = other_dtype(trial.dtype)
    for elsewhere in (lambda t: t.to("meta"), lambda t: t.to(other), _longer, Tensor.clone):
        raw.set_parameters({name: elsewhere(value) for name, value in given.items()})
        trial.attempt("zero_grad raises", raw.layer.zero_grad)
        for name, parameter in raw.held.items():
            gradient = parameter.gradient
            fits = gradient is not None and _kind(gradient) == _kind(parameter.value)
            sentence = f"zero_grad leaves a {name}.grad that is not like a rebound {name}"
            trial.require(fits, "does not fit", f"{name} gradient", sentence)
        if elsewhere is _longer:
            use, what = lambda: raw.forward(trial.inputs), "forward with a parameter that is longer"
            require_refusal(trial, use, "ValueError", what, says=["shape"])
        raw.set_parameters(given)
        trial.attempt("forward raises", raw.forward, trial.inputs)
        if elsewhere is not Tensor.clone:
            require_refusal(
                trial,
                lambda: raw.backward(trial.cotangents),
                "ValueError",
                "backward with a gradient that does not fit its parameter",
                says=["zero_grad"],
            )
    pairs = raw.layer.param() if hasattr(raw.layer, "param") else []
    trial.attempt("backward raises", raw.backward, trial.cotangents)
    held = raw.tensors()
    for (name, value), (shown, gradient) in zip(given.items(), pairs, strict=bool(pairs)):
        trial.require_same(name, shown, value, "param shows it beside its gradient")
        left = held.get(f"{name} gradient")
        if left is None:
            trial.fail("missing", f"{name} gradient", f"backward leaves {name} without a gradient")
        trial.require_same(f"{name} gradient", gradient, left, "param shows it")
    trial.attempt("zero_grad raises", raw.layer.zero_grad)
    for name, (_, gradient) in zip(given, pairs, strict=bool(pairs)):
        zeros = torch.zeros_like(given[name])
        trial.require_same(f"{name} gradient", gradient, zeros, "param showed it, then zero_grad")


def _longer(tensor: Tensor) -> Tensor:
    return tensor.new_zeros(tensor.shape[0] + 1, *tensor.shape[1:])


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype, torch.device]:
    return tensor.shape, tensor.dtype, tensor.device


def _one_tensor(geometry: Geometry) -> SearchStrategy[dict[str, str]]:
    """Which input or parameter is changed."""
    names = [name for name, _ in (*geometry.inputs, *geometry.parameters)]
    return st.fixed_dictionaries({"changed": st.sampled_from(names)})


@property_of(
    Family.PROTOCOL,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.ORDER_OF_CALLS},
    cases=ordinary(limits=SMALL, layouts=DISTINCT, options=_one_tensor),
    decides=Decides.CONTRACT,
)
def check_changed_data_is_refused(trial: Trial) -> None:
    """A backward after an input or a parameter was changed in place is a RuntimeError, and changes
    no gradient.
    """
    name, cotangents = trial.case.option("changed"), trial.cotangents
    trial.forward()
    (trial.inputs | trial.parameters)[name].neg_()
    with untouched(trial, lambda: all_tensors(trial), "a refused backward"):
        require_refusal(
            trial,
            lambda: trial.subject.vjp(cotangents),
            "RuntimeError",
            f"backward after {name} was changed in place",
            # "weight" is what a layer inside a container calls its "0.weight".
            says=[name.rpartition(".")[2]],
        )


@property_of(
    Family.PROTOCOL,
    needs={TRUTH, Trait.DIFFERENTIABLE, Clause.ORDER_OF_CALLS},
    cases=ordinary(limits=SMALL),
    decides=Decides.CONTRACT,
)
def check_backward_needs_a_forward(trial: Trial) -> None:
    """A backward before any forward is a RuntimeError, and the forward after it works."""
    require_refusal(
        trial,
        lambda: trial.subject.vjp(trial.cotangents),
        "RuntimeError",
        "backward before forward",
        says=["forward"],
    )
    trial.require_results(trial.results(), trial.true_results)
