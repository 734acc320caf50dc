"""A hand-written layer with state: forward, then backward, whatever their names and arguments."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gradcheck.subjects import named_outputs
from verification.cases.subject_spec import Told
from verification.subjects.driving.gradients import (
    INPUT_NAMES,
    gradients_by_name,
    means_a_gradient,
    named_gradients,
    targets_first,
)
from verification.subjects.driving.ordered import parted
from verification.subjects.driving.parameters import code_of, find_places
from verification.subjects.driving.places import Place, is_array
from verification.subjects.driving.stepping import Steps, with_rate
from verification.subjects.driving.told import Adapter
from verification.subjects.driving.translation import Translation
from verification.subjects.loading import SubjectError

FORWARD = (
    *("forward", "forward_pass", "forward_propagation", "forward_prop", "fprop", "feed_forward"),
    *("feedforward", "loss", "calculate_loss", "compute_loss", "calc_loss", "__call__"),
)
BACKWARD = (
    *("backward", "backward_pass", "backward_propagation", "back_propagation", "backprop", "bprop"),
    *("backward_prop", "back_prop", "backpropagate", "grad", "gradient", "derivative"),
)
"""By which names hand-written layers call their two methods, the usual one first."""

_MODES = ("training", "is_training", "train_mode", "train", "is_train", "train_flg", "train_flag")
"""Attributes, or arguments of forward, that say whether a layer trains."""

_INPUT_GRADIENTS = ("dx", "dinputs", "dinput", "grad_input", "grad_x", "input_grad", "dX", "gx")
"""Attributes that hold the input's gradient where backward returns none."""


def method(layer: Any, names: Sequence[str]) -> Callable[..., Any] | None:
    """The first of these methods that a layer has."""
    for name in names:
        found = getattr(layer, name, None)
        if callable(found):
            called: Callable[..., Any] = found
            return called
    return None


def required(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments that a function cannot do without."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        name
        for name, p in inspect.signature(function).parameters.items()
        if p.default is p.empty and p.kind in positional
    ]


def _accepted(function: Callable[..., Any]) -> int:
    """How many arguments a function can be given in order."""
    known = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in known):
        return sys.maxsize
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in known)


class Stateful:
    """One layer under the subject protocol. `names` are the kind's names for its parameters; those
    that are given beyond them are left out.

    returns: how many outputs a forward may have, of which the backward takes as many cotangents.
    """

    returns = 1

    def __init__(
        self, layer: Any, names: Sequence[str], told: Adapter, translation: Translation
    ) -> None:
        forward = method(layer, FORWARD)
        backward = method(layer, (told.backward,) if told.backward else BACKWARD)
        if forward is None or backward is None:
            lacking = "forward" if forward is None else told.backward or "backward"
            raise SubjectError(
                f"{type(layer).__name__} has no {lacking}():"
                " a hand-written layer has forward(x) and backward(grad_output); name it with"
                " --backward where it is called otherwise"
            )
        self.layer = layer
        self.name = type(layer).__name__
        self.translation = translation
        self.held: dict[str, Place] = find_places(layer, names, told.held)
        self._names = names
        self._forward, self._own_backward = forward, backward
        self._backward, self._rate = with_rate(layer, backward, ())
        self._inputs: dict[str, Tensor] = {}
        self._parameters: dict[str, Tensor] = {}
        self._given: list[Any] = []
        self._cache: tuple[Any, ...] = ()
        self._order: tuple[str, ...] = ()
        self._gave = "gradient"
        self._gives: tuple[str, ...] = ()
        self.offers = self._what_it_offers()
        self._extra: dict[str, Any] = {}

    @property
    def takes_training(self) -> bool:
        """Whether the layer can be told to train or not."""
        return any(hasattr(self.layer, n) for n in (*_MODES, "eval")) or bool(
            set(_MODES) & set(inspect.signature(self._forward).parameters)
        )

    def train(self, mode: bool) -> None:
        """Let the layer train, or not: by its method, an attribute, or an argument of forward."""
        method = getattr(self.layer, "train" if mode else "eval", None)
        taken = [name for name in _MODES if name in inspect.signature(self._forward).parameters]
        if callable(method):
            method()
        elif taken:
            self._extra = {taken[0]: mode}
        for name in _MODES:
            if isinstance(getattr(self.layer, name, None), bool):
                setattr(self.layer, name, mode)

    def _what_it_offers(self) -> frozenset[str]:
        plain = self.translation == Translation() and self._forward.__name__ == "forward"
        if not plain or self._rate or self._backward.__name__ != "backward":
            return frozenset()
        offers = {"accumulate"} if self.held else set()
        offers |= {"zero"} if hasattr(self.layer, "zero_grad") else set()
        offers |= {"state"} if hasattr(self.layer, "state_dict") else set()
        return frozenset(offers)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape in which the layer holds a parameter; None where it has none of that name."""
        place = self.held.get(name)
        return None if place is None else tuple(place.value.shape)

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name, after the given parameters were bound."""
        for name, value in parameters.items():
            if name not in self._names:
                continue
            if name not in self.held:
                raise SubjectError(
                    f"{self.name} has no place for {name}: say where it is with"
                    f" --held {name}=VALUE:GRADIENT, its attributes"
                )
            bound = _bindable(self.translation, name, value, self.shape(name))
            # A layer that steps writes to what it holds: to a copy of what it was given.
            self.held[name].rebind(bound.clone() if self._rate else bound)
        self._inputs, self._parameters = dict(inputs), dict(parameters)
        self._given = [self.translation.there(name, x) for name, x in inputs.items()]
        swapped = _inputs_of(required(self._forward)) != "inputs"
        returned = self._forward(*self._given[:: -1 if swapped else 1], **self._extra)
        outputs, self._cache = parted(returned, self.returns)
        taken = outputs[: max(1, _accepted(self._backward))]
        back = [self.translation.output(y, {**inputs, **parameters}) for y in taken]
        return named_outputs(back if len(back) > 1 else back[0])

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the latest forward: what gradients the layer holds are emptied first."""
        for place in self.held.values():
            place.zero()
        tensors = (*self._inputs.values(), *self._parameters.values(), *cotangents.values())
        self._backward, self._rate = with_rate(self.layer, self._own_backward, tensors)
        steps = Steps(self.held if self._rate else {}, self._rate)
        gradients = self._returned(self._call_backward(cotangents))
        for name, moved in steps.taken_back().items():
            if name in self._parameters:
                gradients[name] = self.translation.back(name, moved, self._parameters[name])
        for name, place in self.held.items():
            if name in gradients or name not in self._parameters:
                continue
            like, found = self._parameters[name], place.gradient
            # A copy: the layer's buffer is emptied and filled again by the next call.
            gradients[name] = (
                torch.zeros_like(like)
                if found is None
                else self.translation.back(name, found.detach().clone(), like)
            )
        return gradients

    def _call_backward(self, cotangents: Mapping[str, Tensor]) -> Any:
        given = {
            "cotangent": [self.translation.there(name, g) for name, g in cotangents.items()],
            "kept": list(self._cache),
            "inputs": self._given,
            "inputs, the last first": self._given[::-1],
        }
        self._order = self._taken(len(cotangents))
        returned = self._backward(*(each for part in self._order for each in given[part]))
        if "cotangent" in self._order:
            return returned
        # A loss begins the way back: its gradient is that for cotangent 1.
        (cotangent,) = given["cotangent"]
        return _scaled(returned, cotangent)

    def _taken(self, cotangents: int) -> tuple[str, ...]:
        """What the backward takes, in order."""
        wanted = required(self._backward)
        if not wanted and not inspect.signature(self._backward).parameters:
            return ()
        if len(wanted) <= cotangents:
            return ("cotangent",)
        if self._cache:
            first = means_a_gradient(wanted[0]) or not means_a_gradient(wanted[-1])
            return ("cotangent", "kept") if first else ("kept", "cotangent")
        if len(wanted) == len(self._given) and not any(map(means_a_gradient, wanted)):
            return (_inputs_of(wanted),)
        if means_a_gradient(wanted[0]) or wanted[-1].lower() in INPUT_NAMES:
            return ("cotangent", "inputs")
        return ("inputs", "cotangent")

    @property
    def recipe(self) -> Told:
        """How the latest calls went, for a script: the methods, what they were given, and where
        each parameter and its gradient were found. What steps leaves no gradient to be read.
        """
        found = {name: code_of(self.layer, place) for name, place in self.held.items()}
        places = [(name, *code) for name, code in found.items() if code is not None]
        read = {name for name, _, gradient in places if gradient}
        if (
            self._rate
            or not self._gives
            or len(places) < len(found)
            or {*found} - read - {*self._gives}
        ):
            return ()
        return (
            ("forward", self._forward.__name__),
            ("given", _inputs_of(required(self._forward))),
            ("backward", self._own_backward.__name__),
            ("order", self._order),
            ("gave", self._gave),
            ("gives", self._gives),
            ("places", tuple(places)),
        )

    def _returned(self, returned: Any) -> dict[str, Tensor]:
        self._gave = "gradient"
        if returned is None:
            kept = (n for n in _INPUT_GRADIENTS if is_array(getattr(self.layer, n, None)))
            if (own := next(kept, None)) is not None:
                self._gave, returned = f"layer.{own}", getattr(self.layer, own)
        named = named_gradients(returned, {**self._inputs, **self._parameters})
        each = returned if isinstance(returned, tuple) else (returned,)
        names = (next((n for n, g in named.items() if g is part), "") for part in each)
        self._gives = tuple(names) if len(named) <= len(each) else ()
        return gradients_by_name(returned, self._inputs, self._parameters, self.translation)


def _inputs_of(names: Sequence[str]) -> str:
    """In which order a function of these arguments takes the inputs: a loss may want its target
    first.
    """
    return "inputs, the last first" if targets_first(names) else "inputs"


def _bindable(
    translation: Translation, name: str, value: Tensor, shape: tuple[int, ...] | None
) -> Tensor:
    given = translation.there(name, value, shape)
    return given if isinstance(given, Tensor) else torch.from_numpy(given)


def _scaled(gradient: Any, cotangent: Any) -> Any:
    if isinstance(gradient, (tuple, list)):
        return tuple(_scaled(part, cotangent) for part in gradient)
    if not is_array(gradient):
        return gradient
    if gradient.ndim > cotangent.ndim and gradient.shape[: cotangent.ndim] == cotangent.shape:
        # One loss a sample: its cotangent is that of all the sample's numbers.
        cotangent = cotangent.reshape(cotangent.shape + (1,) * (gradient.ndim - cotangent.ndim))
    return gradient * cotangent
