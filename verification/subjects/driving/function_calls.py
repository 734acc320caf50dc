"""What the arguments of a function are, found from its signature: tensors of the kind, arguments of
the kind, or a dict of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from verification.subjects.driving.arguments import OTHER_NAMES, PARTS, Source, matched_by_name
from verification.subjects.driving.gradients import (
    INPUT_NAMES,
    targets_first,
)
from verification.subjects.driving.parameters import usual_name
from verification.subjects.loading import SubjectError

_OPTIONS = ("param", "params", "config", "cfg", "options", "opts", "hparameters", "hparams")
"""Names, or ends of names, of a dict that holds a function's arguments."""

_TRAINING = "training"
"""An argument that a dict may hold as "mode", one of "train" and "test"."""

UPDATED = ("w", "dw")
"""A parameter and its gradient, of a function that makes one step of an optimiser."""

Parameters = Mapping[str, inspect.Parameter]


@dataclass(frozen=True)
class Call:
    """What each argument of a function is, by its name: a tensor of the kind, an argument of the
    kind, or a dict of all of these.
    """

    tensors: Mapping[str, str]
    sources: Mapping[str, Source]
    kind: Sequence[str] = ()  # the names of the kind's arguments
    options: str | None = None
    positional: tuple[str, ...] | None = None  # one that takes no argument by name
    constants: Mapping[str, Any] = field(default_factory=dict)
    single: tuple[str, ...] = ()  # as of Matching; a function's signature is not asked

    @property
    def taken(self) -> frozenset[str]:
        """The arguments of the kind that the function takes; a dict takes whatever there is."""
        if self.options is not None:
            return frozenset(self.kind)
        return frozenset(argument for argument, _ in self.sources.values())

    @property
    def notes(self) -> Iterator[str]:
        """What was found, in sentences."""
        renamed = [f"{own} is {name}" for own, name in self.tensors.items() if own != name]
        renamed += [f"{own} is {name}" for own, (name, _) in self.sources.items() if own != name]
        if self.options is not None:
            renamed.append(f"{self.options} is a dict of the arguments")
        if renamed:
            yield f"arguments: {', '.join(renamed)}"

    def arguments(self, tensors: Mapping[str, Any], kind: Mapping[str, Any]) -> dict[str, Any]:
        """The function's arguments by its own names. A tensor that a geometry has not, such as a
        bias, is None.
        """
        given: dict[str, Any] = {own: tensors.get(name) for own, name in self.tensors.items()}
        for own, (argument, part) in self.sources.items():
            value = kind.get(argument)
            if argument in kind:
                given[own] = value[part] if part is not None and isinstance(value, tuple) else value
        if self.options is not None:
            given[self.options] = Recorder(
                _dict_of({name: kind[name] for name in self.kind if name in kind})
            )
        return given | dict(self.constants)

    def asked(self, given: Mapping[str, Any]) -> tuple[str, ...]:
        """The arguments of the kind that the dict among given arguments was asked for."""
        options = given.get(self.options or "")
        keys = options.keys_asked if isinstance(options, Recorder) else set()
        meant = {_meaning(key, self.kind) for key in keys}
        return tuple(name for name in self.kind if name in meant)

    def apply(self, function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
        """Call the function."""
        if self.positional is None:
            return function(**given)
        return function(*(given[own] for own in self.positional if own in given))


class Recorder(dict[str, Any]):
    """A dict that knows which of its keys it was asked for: they are what a function takes."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.keys_asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.keys_asked.add(key)
        return super().__getitem__(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self.keys_asked.add(key)
        return super().setdefault(key, default)

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_asked.add(key)
        return super().get(key, default)


def _dict_of(kind: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the kind under every name that they are known by: a dict's keys stand nowhere
    before the function asks for them.
    """
    content: dict[str, Any] = {}
    if _TRAINING in kind:
        content["mode"] = "train" if kind[_TRAINING] else "test"
    for argument, value in kind.items():
        content |= dict.fromkeys((argument, *OTHER_NAMES.get(argument, ())), value)
        for parts in PARTS.get(argument, ()):
            both = value if isinstance(value, tuple) else (value, value)
            content |= dict(zip(parts, both, strict=True))
    return content | dict(kind)


def _meaning(key: str, kind: Sequence[str]) -> str | None:
    """The argument of the kind that a dict's key stands for."""
    if key == "mode":
        return _TRAINING
    if key in kind:
        return key
    for argument in kind:
        parts = [name for both in PARTS.get(argument, ()) for name in both]
        if key in (*OTHER_NAMES.get(argument, ()), *parts):
            return argument
    return None


def parameters_of(function: Callable[..., Any]) -> Parameters:
    """The parameters of a function, an autograd.Function (but for its context), or an operator.

    Raises:
        SubjectError: it shows none.
    """
    operator = getattr(function, "_opoverload", function)  # of torch.library.custom_op
    operator = getattr(operator, "default", operator)  # of torch.ops
    if hasattr(operator, "_schema"):
        return {a.name: _of_schema(a) for a in operator._schema.arguments}
    context = False
    try:
        if isinstance(function, type) and issubclass(function, torch.autograd.Function):
            context = function.setup_context is torch.autograd.Function.setup_context
            found = inspect.signature(function.forward).parameters
        else:
            found = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise SubjectError(f"{function!r} shows no signature: wrap it in a function") from None
    return dict(list(found.items())[1:]) if context else found


def _of_schema(argument: Any) -> inspect.Parameter:
    default = argument.default_value if argument.has_default_value() else inspect.Parameter.empty
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(argument.name, kind, default=default)


def takes_tensors(function: Callable[..., Any], kind: Parameters) -> bool:
    """Whether a function takes tensors, and does not build a layer from the kind's arguments."""
    if isinstance(function, type):
        return issubclass(function, torch.autograd.Function)
    if not inspect.isroutine(function):
        return hasattr(function, "_opoverload") or hasattr(function, "default")
    required = [
        name
        for name, p in parameters_of(function).items()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD and p.kind is not p.VAR_POSITIONAL
    ]
    if not required:
        return False
    return required[0].lower() in INPUT_NAMES or matched_by_name(required[0], kind, {}) is None


def takes_gradients(function: Callable[..., Any], kind: Parameters) -> bool:
    """Whether a function makes a step of a parameter and its gradient, and builds no optimiser."""
    if not inspect.isroutine(function):
        return False
    first = list(parameters_of(function))[: len(UPDATED)]
    known = (matched_by_name(own, kind, {}) for own in first)
    return len(first) == len(UPDATED) and not any(known)


def call_of(
    who: str,
    parameters: Parameters,
    tensors: Sequence[str],
    kind: Parameters,
    renamed: Mapping[str, str],
    constants: Mapping[str, Any],
    *,
    by_position: bool,
) -> Call:
    """What a function's arguments are, from their names and, for tensors, their order.

    `tensors` are the names of the kind's inputs and parameters.

    Raises:
        SubjectError: it wants more than the kind has.
    """
    found: dict[str, str] = {}
    sources: dict[str, Source] = {}
    required = [
        own for own, parameter in parameters.items() if parameter.default is parameter.empty
    ]
    swapped = len(tensors) == 2 and targets_first(required[:2])
    options, left = None, list(tensors)[:: -1 if swapped else 1]
    for own, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or own in constants:
            continue
        tensor = _tensor_named(own, left)
        source = matched_by_name(own, kind, renamed)
        if tensor is None and source is None and own.rpartition("_")[2].lower() in _OPTIONS:
            options = own
        elif tensor is not None or (
            source is None and left and parameter.default is parameter.empty
        ):
            found[own] = tensor or left[0]
            left.remove(found[own])
        elif source is not None:
            sources[own] = source
        elif parameter.default is parameter.empty:
            raise SubjectError(
                f"{who} wants {own}, which the kind has not: give it with --kwargs, or wrap it in a"
                f" function of {', '.join(tensors)} and {', '.join(kind) or 'nothing else'}"
            )
    order = tuple(parameters) if by_position else None
    return Call(found, sources, tuple(kind), options, order, constants)


def _tensor_named(own: str, left: Sequence[str]) -> str | None:
    if own in left:
        return own
    if own.lower() in INPUT_NAMES and "input" in left:
        return "input"
    return usual_name(own, left)
