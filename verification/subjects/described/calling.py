"""How a described function is called: by the names of its tensors, whatever it is: a function, an
autograd.Function, a custom operator, a forward with its vjp, a module with parameters of its own.
"""

from __future__ import annotations

import copy
import inspect
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch._library.custom_ops import CustomOpDef
from torch._ops import OpOverload, OpOverloadPacket
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from verification.subjects.loading import Loaded, SubjectError
from verification.subjects.seeded import seeded

Parameters = Mapping[str, inspect.Parameter]


@dataclass(frozen=True)
class Ready:
    """A callee for one choice of its settings: the result of tensors by name. `parameters` are its
    own, by name; a call may be given other values for them.
    """

    call: Callable[[Mapping[str, Tensor]], Any]
    parameters: Mapping[str, Tensor] = field(default_factory=dict)

    def with_values(self, values: Mapping[str, Tensor]) -> Ready:
        """The same with other values of the parameters that are named."""
        told = {name: values.get(name, own) for name, own in self.parameters.items()}
        return replace(self, parameters=told)


class Callee:
    """A function or an autograd.Function with the arguments that it takes by name, read once.

    takes: none where it shows no signature; then it is called by position.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        written = getattr(function, "_init_fn", function)  # of a custom operator
        self.name = str(getattr(written, "__name__", type(function).__name__))
        self.function = function
        self.takes = _parameters(function)

    def ready(self, settings: Mapping[str, Any], dtype: torch.dtype) -> Ready:
        """With these settings, and parameters of that dtype."""
        return Ready(lambda tensors: self(tensors, settings))

    def __call__(self, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Any:
        """The result: arguments by name, or in their order where it has no names."""
        given, known = {**tensors, **settings}, {*self.takes}
        if _is_autograd_function(self.function):
            apply: Callable[..., Any] = self.function.apply
            ordered = self.takes if {*given} <= known else given
            return apply(*(given[name] for name in ordered if name in given))
        if known and {*tensors} <= known:
            return self.function(**given)
        return self.function(*tensors.values(), **settings)

    @property
    def operator(self) -> CustomOpDef | OpOverload[..., Any] | OpOverloadPacket[..., Any] | None:
        """The function, if it is registered with torch.library."""
        operators = CustomOpDef, OpOverload, OpOverloadPacket
        return self.function if isinstance(self.function, operators) else None


class Pair(Callee):
    """A forward with its vjp: (*tensors, *cotangents, **settings) -> gradients, None for zero."""

    def __init__(self, forward: Callable[..., Any], vjp: Callable[..., Any]) -> None:
        super().__init__(forward)
        self.vjp = vjp

    def __call__(self, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Any:
        def forward(*values: Tensor) -> Any:
            return Callee.__call__(self, dict(zip(tensors, values, strict=True)), settings)

        def vjp(*values: Tensor) -> Any:
            return self.vjp(*values, **settings)

        return _Joined.apply(forward, vjp, *tensors.values())  # type: ignore[no-untyped-call]


class _Joined(torch.autograd.Function):
    """A forward and its vjp in one; nobody said that the vjp has a derivative."""

    @staticmethod
    def forward(
        ctx: Any, forward: Callable[..., Any], vjp: Callable[..., Any], *tensors: Tensor
    ) -> Any:
        ctx.save_for_backward(*tensors)
        ctx.vjp = vjp
        return forward(*tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.vjp(*ctx.saved_tensors, *cotangents)
        several = gradients if isinstance(gradients, (tuple, list)) else (gradients,)
        return (None, None, *several)


class ModuleCallee(Callee):
    """An nn.Module, or the class of one, whose constructor is given the settings that it takes."""

    def __init__(self, module: nn.Module | type[nn.Module]) -> None:
        kind = module if isinstance(module, type) else type(module)
        self.name = kind.__name__
        self.function = module
        self._built_with = _parameters(kind) if kind is module else {}
        self._called_with = dict(_parameters(kind.forward))
        self._called_with.pop("self", None)
        self.takes = {**self._called_with, **self._built_with}

    def ready(self, settings: Mapping[str, Any], dtype: torch.dtype) -> Ready:
        """A module built or copied, whose buffers every call finds as they were."""
        module = self._built({n: v for n, v in settings.items() if n in self._built_with}).to(dtype)
        others = {n: v for n, v in settings.items() if n not in self._built_with}
        parameters = {n: _off_its_start(n, p.detach()) for n, p in module.named_parameters()}

        def call(tensors: Mapping[str, Tensor]) -> Any:
            state = {n: b.clone() for n, b in module.named_buffers()}
            state |= {n: tensors.get(n, p) for n, p in parameters.items()}
            inputs = {n: t for n, t in tensors.items() if n not in parameters}
            if {*inputs} <= {*self._called_with}:
                return functional_call(module, state, (), {**inputs, **others})
            return functional_call(module, state, tuple(inputs.values()), others)

        return Ready(call, parameters)

    def _built(self, settings: Mapping[str, Any]) -> nn.Module:
        if isinstance(self.function, nn.Module):
            return copy.deepcopy(self.function)
        with seeded(0):
            built: nn.Module = self.function(**settings)
            return built


def _off_its_start(name: str, parameter: Tensor) -> Tensor:
    """A parameter's value with up to 1/2 added at random: weights of 1 and biases of 0 hide what
    they are multiplied with. A bfloat16 holds the value, so that it is the same in every dtype.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 0.5
    return (parameter.double() + noise).to(torch.bfloat16).to(parameter.dtype)


def callee_of(loaded: Loaded) -> Callee:
    """How to call what a name stands for."""
    if isinstance(loaded, tuple):
        return Pair(*loaded)
    if isinstance(loaded, nn.Module) or (
        isinstance(loaded, type) and issubclass(loaded, nn.Module)
    ):
        return ModuleCallee(loaded)
    return Callee(loaded)


def require_taken(
    callee: Callee, inputs: tuple[str, ...], settings: Mapping[str, Any], name: str
) -> None:
    """Raise SubjectError unless the described inputs and settings are what a callee takes."""
    described = [*inputs, *settings]
    if not callee.takes:
        return
    takes = ", ".join(callee.takes)
    unknown = [each for each in described if each not in callee.takes]
    if unknown:
        raise SubjectError(
            f"{name} takes no {', '.join(unknown)}: it takes {takes}; describe each tensor by the"
            " name that it has there"
        )
    missing = [
        each
        for each, parameter in callee.takes.items()
        if parameter.default is parameter.empty and each not in described
    ]
    if missing:
        raise SubjectError(
            f"{name} takes {takes}, and {', '.join(missing)} is not described: add a line to inputs"
            " for a tensor, values to settings for anything else"
        )


def _parameters(function: Callable[..., Any]) -> Parameters:
    """The parameters that can be given by name; none where the function shows no signature."""
    called: Callable[..., Any] = function
    with_context = False
    if _is_autograd_function(function):
        called = function.forward
        with_context = function.setup_context is torch.autograd.Function.setup_context
    try:
        found = dict(inspect.signature(called).parameters)
    except (TypeError, ValueError):  # builtins and C functions have none
        return {}
    if with_context:
        found.pop(next(iter(found), ""), None)  # ctx
    return {n: p for n, p in found.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _is_autograd_function(function: object) -> TypeGuard[type[torch.autograd.Function]]:
    return isinstance(function, type) and issubclass(function, torch.autograd.Function)
