"""State: parameters leave a layer and come back under torch.nn's names, and its repr shows it.

The twin in torch.nn belongs to the reference side: its weights and ours must mean the same.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from verification.cases import LayerCall
from verification.properties.registry import Decides, Family, property_of
from verification.references import torch_nn
from verification.references.laws.law import INPUT, OUTPUT
from verification.references.row import Clause
from verification.strategies.cases import dense, ordinary
from verification.strategies.drawing import SearchStrategy, st
from verification.strategies.geometry import SMALL, Geometry
from verification.subjects.entry import TRUTH
from verification.subjects.raw import RawLayer
from verification.trials.refused import require_refusal, untouched
from verification.trials.trial import Trial

NEEDS = frozenset({TRUTH, Clause.STATE, "state"})

TAKEN_BY_TORCH = replace(SMALL, waived=frozenset({Clause.STRIDED_SAME, Clause.LARGE_NEAREST}))
"""Geometry that torch.nn's layers take too, and answer as the law does."""


@property_of(Family.STATE, needs=NEEDS, cases=ordinary(limits=SMALL), decides=Decides.CONTRACT)
def check_state_makes_the_same_layer(trial: Trial) -> None:
    """A fresh layer that loads another's state_dict, in place and by copy, computes the same."""
    first, second = RawLayer(trial.subject), RawLayer(trial.build())
    first.set_parameters(trial.parameters)
    state = trial.attempt("state_dict raises", first.layer.state_dict)
    _require_names(trial, "state_dict", list(state), list(trial.parameters))
    places = {name: held.value for name, held in second.held.items()}
    trial.attempt("load_state_dict raises", second.layer.load_state_dict, state)
    for tensor in state.values():
        tensor.zero_()  # the state is a copy, so this changes neither layer
    for name, held in second.held.items():
        why = "it was loaded, and the state is a copy"
        trial.require_same(name, held.value, trial.parameters[name], why)
        trial.require(
            held.value is places[name],
            "rebound",
            name,
            f"load_state_dict put another tensor in the place of {name}; it must copy into it",
        )
    for raw in (first, second):
        output = trial.attempt("forward raises", raw.forward, trial.inputs)
        trial.require_close(OUTPUT, output, trial.true_outputs[OUTPUT])


def _require_names(trial: Trial, what: str, got: list[str], expected: list[str]) -> None:
    sentence = f"{what} has the entries {got}, expected {expected}"
    trial.require(sorted(got) == sorted(expected), "names", "", sentence)


def _mistake(geometry: Geometry) -> SearchStrategy[dict[str, str]]:
    """What is wrong with the state, and in which entry."""
    names = [name for name, _ in geometry.parameters]
    extra = st.fixed_dictionaries({"mistake": st.just("extra"), "entry": st.just("absent")})
    if not names:
        return extra
    mistakes = st.sampled_from(["missing", "longer", "integers", "a list", "where one is expanded"])
    spoilt = st.fixed_dictionaries({"mistake": mistakes, "entry": st.sampled_from(names)})
    return st.one_of(spoilt, extra)


@property_of(
    Family.STATE,
    needs=NEEDS | {Clause.REFUSALS},
    cases=ordinary(limits=SMALL, options=_mistake),
    decides=Decides.CONTRACT,
)
def check_bad_states_are_refused(trial: Trial) -> None:
    """A state with an entry missing, extra, mis-shaped or no floating tensor changes nothing, nor
    does one for a parameter whose entries share memory.
    """
    mistake, entry = trial.case.option("mistake"), trial.case.option("entry")
    raw = RawLayer(trial.subject)
    raw.set_parameters(trial.parameters)
    # Other numbers, so that a state loaded in part would show.
    state: dict[str, Any] = {name: value + 1 for name, value in trial.parameters.items()}
    right = state.pop(entry, torch.zeros(1, dtype=trial.dtype))
    if mistake == "where one is expanded":
        if not raw.rebinds:
            trial.unjudged("a parameter cannot be bound to another tensor")
        # No other one may be expanded too.
        raw.set_parameters({name: value.clone() for name, value in trial.parameters.items()})
        raw.held[entry].rebind(right.new_zeros(()).expand(right.shape))
        state[entry] = right
        if right.numel() < 2:  # it shares memory with no other
            trial.attempt("load_state_dict raises", raw.layer.load_state_dict, state)
            return
    elif mistake != "missing":
        state[entry] = _SPOILT[mistake](right)
    error = "TypeError" if mistake == "a list" else "ValueError"
    with untouched(trial, raw.tensors, "a refused load_state_dict"):
        require_refusal(
            trial,
            lambda: raw.layer.load_state_dict(state),
            error,
            f"load_state_dict with {entry} {mistake}",
            says=[entry],
        )


_SPOILT: dict[str, Callable[[Tensor], object]] = {
    "extra": torch.clone,
    "longer": lambda right: right.new_zeros(right.shape[0] + 1, *right.shape[1:]),
    "integers": Tensor.long,
    "a list": lambda right: [right],
}


@property_of(
    Family.STATE,
    needs=NEEDS,
    # torch.nn flushes a saturated value below the normal numbers to zero.
    cases=dense(TAKEN_BY_TORCH),
    decides=Decides.CONTRACT,
)
def check_weights_travel_to_torch_and_back(trial: Trial) -> None:
    """The twin in torch.nn loads the layer's state and computes the same, and so does a layer the
    twin's.
    """
    ours, fresh = RawLayer(trial.subject), RawLayer(trial.build())
    ours.set_parameters(trial.parameters)
    twin = torch_nn.build_module(trial.case.layer, trial.dtype, trial.device)
    drawn = {name: value.clone() for name, value in twin.state_dict().items()}
    load, state = "torch.nn's load_state_dict raises", ours.layer.state_dict()
    trial.attempt(load, twin.load_state_dict, state)
    # A copy in order: torch's float32 convolutions are wrong on some channels_last images.
    x = trial.inputs[INPUT].clone(memory_format=torch.contiguous_format)
    with torch.no_grad():
        output = twin(x)
    trial.require_close("torch.nn's output", output, trial.true_outputs[OUTPUT])
    trial.attempt("load_state_dict raises", fresh.layer.load_state_dict, drawn)
    output = trial.attempt("forward raises", fresh.forward, trial.inputs)
    trial.require_close(OUTPUT, output, trial.enclose_outputs(trial.inputs, drawn)[OUTPUT])


@property_of(Family.STATE, needs=NEEDS, cases=ordinary(limits=SMALL), decides=Decides.CONTRACT)
def check_moving_keeps_the_numbers(trial: Trial) -> None:
    """The method to converts every parameter and gradient and returns the layer, which goes on; of
    integers it makes nothing.
    """
    raw, host, wide = RawLayer(trial.subject), torch.device("cpu"), torch.float64
    trial.results()
    before = {name: tensor.to(host, wide, copy=True) for name, tensor in raw.tensors().items()}
    for device, dtype in ((host, wide), (trial.device, trial.dtype)):
        what = f"to({device}, {dtype})"
        moved = trial.attempt(f"{what} raises", raw.layer.to, device, dtype)
        trial.require(moved is raw.layer, "moved", "", f"{what} returns {moved!r}, not the layer")
        for name, tensor in raw.tensors().items():
            there = tensor.dtype == dtype and tensor.device.type == device.type
            kept = there and torch.equal(tensor.to(host, wide), before[name])
            trial.require(kept, "moved", name, f"{name} is not what it was before {what}")
    with untouched(trial, raw.tensors, "a refused move"):
        move = functools.partial(raw.layer.to, dtype=torch.int64)
        require_refusal(trial, move, "ValueError", "to(dtype=torch.int64)", says=["int64"])
    trial.require_results(trial.results(), trial.true_results)


@property_of(Family.STATE, needs=NEEDS, cases=ordinary(limits=SMALL), decides=Decides.CONTRACT)
def check_text_shows_the_architecture(trial: Trial) -> None:
    """Its repr names every layer inside, outermost first, and the value of every argument that has
    not torch's default; two layers built alike have the same.
    """
    text = repr(RawLayer(trial.subject).layer)
    rest = text
    for call in trial.case.layer.walk():
        _, found, rest = rest.partition(f"{call.name}(")
        trial.require(
            bool(found), "text", "", f"repr does not show {call.name} in its place: {text}"
        )
        words = (word.removesuffix(".0") for word in re.findall(r"[\w.+-]+", rest))
        missing = _numbers(call) - Counter(words)
        trial.require(
            not missing, "text", "", f"repr does not show {', '.join(missing)} of {call}: {text}"
        )
    again = repr(RawLayer(trial.build()).layer)
    trial.require(text == again, "text", "", f"two layers built alike read {text} and {again}")


def _numbers(call: LayerCall) -> Counter[str]:
    """The numbers and words that must be shown, as text, each as often as there are arguments that
    have it: of those that have no default, or another value.
    """
    defaults = torch_nn.defaults(call.name)
    shown: Counter[str] = Counter()
    for name, value in call.kwargs.items():
        parts = set(value if isinstance(value, tuple) else (value,))
        if name not in defaults or parts != {defaults[name]}:
            shown.update({str(part).removesuffix(".0") for part in parts})
    return shown
