"""Functions of tensors: a forward and the backward that belongs to it, or one that autograd
differentiates (an autograd.Function, a custom operator, the launcher of a compiled kernel).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from gradcheck.subjects import AutogradSubject, named_outputs
from verification.subjects.driving.function_calls import UPDATED, Call, Recorder
from verification.subjects.driving.gradients import gradients_by_name, means_a_gradient
from verification.subjects.driving.optimizers import Update
from verification.subjects.driving.ordered import parted
from verification.subjects.driving.translation import Translation


class FunctionPair:
    """A forward that returns its output, alone or with a cache, and the backward for it: of the
    cotangent and the cache, or of the cotangent and what forward was given.
    """

    offers: frozenset[str] = frozenset()

    def __init__(
        self,
        functions: tuple[Callable[..., Any], Callable[..., Any]],
        call: Call,
        kind: Mapping[str, Any],
        translation: Translation,
    ) -> None:
        self._function, self._backward = functions
        self.name = self._function.__name__
        self._call, self._kind = call, kind
        self._translation = translation
        self._inputs: dict[str, Tensor] = {}
        self._parameters: dict[str, Tensor] = {}
        self._given: dict[str, Any] = {}
        self._cache: tuple[Any, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """The arguments of the kind that the latest call asked its dict of arguments for."""
        return self._call.asked(self._given)

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name."""
        self._inputs, self._parameters = dict(inputs), dict(parameters)
        tensors = {**inputs, **parameters}
        there = {name: self._translation.there(name, t) for name, t in tensors.items()}
        self._given = self._call.arguments(there, self._kind)
        returned = self._call.apply(self._function, self._given)
        (output,), self._cache = parted(returned, 1)
        return named_outputs(self._translation.output(output, tensors))

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the latest forward."""
        given = [self._translation.there(name, g) for name, g in cotangents.items()]
        returned = self._backward(*self._arguments(given))
        return gradients_by_name(returned, self._inputs, self._parameters, self._translation)

    def _arguments(self, cotangents: list[Any]) -> list[Any]:
        """The backward's arguments: by name where forward's have that name, else in order."""
        wanted = list(inspect.signature(self._backward).parameters)
        if self._cache and len(wanted) == len(cotangents) + len(self._cache):
            first = means_a_gradient(wanted[0]) or not means_a_gradient(wanted[-1])
            return [*cotangents, *self._cache] if first else [*self._cache, *cotangents]
        left = [*cotangents, *self._cache]
        return [
            self._given[name] if name in self._given else left.pop(0)
            for name in wanted
            if name in self._given or left
        ]


def updating(
    function: Callable[..., Any],
    call: Call,
    translation: Translation,
) -> Update:
    """A function of a parameter and its gradient as an Update. Where it takes a dict of arguments,
    the dict comes back with what is to be kept; one that returns nothing changed the parameter.
    """

    def update(
        weight: Tensor, gradient: Tensor, arguments: Mapping[str, Any], kept: Any
    ) -> tuple[Tensor, Any, tuple[str, ...]]:
        there = {
            n: translation.there(n, t) for n, t in zip(UPDATED, (weight, gradient), strict=True)
        }
        given = call.arguments(there, arguments)
        if call.options is not None and isinstance(kept, Mapping):
            given[call.options] = Recorder({**kept, **given[call.options]})
        returned = call.apply(function, given)
        moved, *more = returned if isinstance(returned, tuple) else (returned,)
        moved = weight if moved is None else translation.back(UPDATED[0], moved, weight)
        return moved, more[0] if more else given.get(call.options or ""), call.asked(given)

    return update


class Differentiated(AutogradSubject):
    """A function of tensors that torch's autograd differentiates."""

    def __init__(
        self,
        function: Callable[..., Any],
        call: Call,
        kind: Mapping[str, Any],
        translation: Translation,
    ) -> None:
        self._function: Callable[..., Any] = getattr(function, "apply", function)
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.offers = frozenset({"double_backward"})
        self._call, self._kind = call, kind
        self._translation = translation
        self._names: tuple[str, ...] = ()

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name."""
        self._names = tuple(inputs)
        return self._run(inputs, parameters)

    def call(self, inputs: list[Tensor], parameters: dict[str, Tensor]) -> object:
        """The function's result, with a graph."""
        tensors = {**dict(zip(self._names, inputs, strict=True)), **parameters}
        turned = {name: self._translation.turned(name, t) for name, t in tensors.items()}
        result = self._call.apply(self._function, self._call.arguments(turned, self._kind))
        if not isinstance(result, Tensor):
            return result
        return self._translation.one_of(self._translation.turned_back("output", result), tensors)
