"""A function that is judged by the description of its inputs: how it is called, and what it is seen
to do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import torch
from torch import Tensor

from gradcheck.subjects import AutogradSubject, named_outputs
from verification.cases import LayerCall
from verification.references.roundings import Dtypes
from verification.strategies.description import Description
from verification.subjects.loading import SubjectError, importable_name


@dataclass(frozen=True)
class Declared:
    """What a user declared of the gradient, with the functions themselves; the fields are those of
    `cases.declarations.Declarations`.
    """

    constant: frozenset[str] = frozenset()
    derivative_of: Callable[..., Any] | None = None
    vjp: Callable[..., Any] | None = None
    scaled_by: float = 1.0
    approximate: float = 0.0
    stochastic: Callable[..., Any] | None = None
    reference: Callable[..., Any] | None = None


Given = Mapping[str, Tensor]


@dataclass(frozen=True)
class Manner:
    """How a function is to be called, as it was seen to need.

    random: it draws, so that the generator's state is fixed. in_place: it writes to its inputs and
    says so, so that they are no leaves of the graph. default_dtype: it makes tensors of torch's
    default dtype, which follows the case's. hidden: it computes with fewer bits than it is given.
    """

    random: bool = False
    in_place: bool = False
    default_dtype: bool = False
    hidden: bool = False


class DescribedSubject(AutogradSubject):
    """A function under the subject protocol, for one choice of its settings.

    names: the inputs, in order. seed: of torch's generator before every forward and backward, if
    the function draws. asking: the inputs that ask for a gradient, the others are plain tensors;
    None for all.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        names: tuple[str, ...],
        settings: Mapping[str, Any],
        declared: Declared,
        manner: Manner,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.function = function
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.offers: frozenset[str] = frozenset({"double_backward"})
        self.settings = dict(settings)
        self.declared = declared
        self.seed = 0
        self.asking: frozenset[str] | None = None
        self.manner = manner
        self._dtype = dtype
        self._names = names

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The outputs by name, with a graph kept for `vjp`."""
        outputs = self._run(inputs, parameters)
        self._leaves = {n: t for n, t in self._leaves.items() if self._asks(n)}
        return outputs

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradients of the inputs that ask for one; zero where autograd has none."""
        with self._as_needed():
            return super().vjp(cotangents)

    def call(self, inputs: list[Tensor], parameters: dict[str, Tensor]) -> object:
        """The function on these tensors."""
        given = {
            name: self._handed_over(name, tensor)
            for name, tensor in zip(self._names, inputs, strict=True)
        }
        with self._as_needed():
            return call_by_name(self.function, given, self.settings)

    def _asks(self, name: str) -> bool:
        return name not in self.declared.constant and (self.asking is None or name in self.asking)

    def _handed_over(self, name: str, tensor: Tensor) -> Tensor:
        if not self._asks(name):
            return tensor.detach()
        # A leaf must not be written to, and its view neither.
        return tensor.clone() if self.manner.in_place and tensor.requires_grad else tensor

    @contextmanager
    def _as_needed(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self.manner.random:
                stack.enter_context(torch.random.fork_rng(devices=[]))
                torch.manual_seed(self.seed)
            if self.manner.default_dtype:
                stack.callback(torch.set_default_dtype, torch.get_default_dtype())
                torch.set_default_dtype(self._dtype)
            yield

    def other(self, function: Callable[..., Any]) -> DescribedSubject:
        """Another function on the same inputs and settings, in the same manner."""
        return DescribedSubject(
            function, self._names, self.settings, self.declared, self.manner, self._dtype
        )

    def pushed(self, inputs: Given, directions: Given) -> dict[str, Tensor]:
        """The directional derivatives of the outputs by forward mode.

        Raises:
            Exception: whatever the function raises where it does not offer forward mode.
        """
        moving = [name for name in inputs if name in directions]

        def moved(*tensors: Tensor) -> dict[str, Tensor]:
            given = {**inputs, **dict(zip(moving, tensors, strict=True))}
            return named_outputs(self.call([given[name] for name in inputs], {}))

        at = tuple(inputs[name].detach() for name in moving)
        results: Any = torch.func.jvp(moved, at, tuple(directions[name] for name in moving))
        found: dict[str, Tensor] = results[1]
        return found

    def mapped(self, inputs: Given) -> dict[str, Tensor]:
        """The outputs of torch.func.vmap over axis 0 of every input.

        Raises:
            Exception: whatever the function raises where it cannot be mapped.
        """

        def named(*tensors: Tensor) -> dict[str, Tensor]:
            return named_outputs(self.call(list(tensors), {}))

        results: dict[str, Tensor] = torch.func.vmap(named)(*(t.detach() for t in inputs.values()))
        return results

    @property
    def outputs(self) -> Mapping[str, Tensor]:
        """The outputs of the latest forward, with their graph."""
        return self._outputs

    @property
    def leaves(self) -> Mapping[str, Tensor]:
        """The inputs of the latest forward that ask for a gradient."""
        return self._leaves


def call_by_name(
    function: Callable[..., Any], tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> Any:
    """The function's result: arguments by name, or in their order where it has no names."""
    if _is_autograd_function(function):
        names = list(_parameters(function))
        given = {**tensors, **settings}
        apply: Callable[..., Any] = function.apply
        if set(given) <= set(names):
            return apply(*(given[name] for name in names if name in given))
        return apply(*given.values())
    if _parameters(function) and set(tensors) <= set(_parameters(function)):
        return function(**tensors, **settings)
    return function(*tensors.values(), **settings)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
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


def require_signature(function: Callable[..., Any], description: Description) -> None:
    """Raise SubjectError unless the described inputs and settings are what the function takes."""
    parameters = _parameters(function)
    described = [each.name for each in description.inputs] + list(description.settings)
    if not parameters:
        return
    name, takes = importable_name(function), ", ".join(parameters)
    unknown = [each for each in described if each not in parameters]
    if unknown:
        raise SubjectError(
            f"{name} takes no {', '.join(unknown)}: it takes {takes}; describe each tensor by the"
            " name that it has there"
        )
    missing = [
        each
        for each, parameter in parameters.items()
        if parameter.default is parameter.empty and each not in described
    ]
    if missing:
        raise SubjectError(
            f"{name} takes {takes}, and {', '.join(missing)} is not described: add a line to inputs"
            " for a tensor, values to settings for anything else"
        )


@dataclass(frozen=True)
class Seen:
    """What a function did when it was called.

    outputs: those that have a derivative; others: those that have none. manner: how it must be
    called. widest: the widest dtype that it takes. notes: what of it is worth saying.
    """

    outputs: tuple[str, ...]
    others: tuple[str, ...]
    manner: Manner
    widest: torch.dtype
    notes: tuple[str, ...]


MakeSubject = Callable[[LayerCall, Manner, torch.dtype], DescribedSubject]
Try = tuple[LayerCall, Callable[[torch.dtype], Given]]
"""Settings, and inputs in a dtype that is asked for."""


def watch(make: MakeSubject, tries: list[Try], name: str) -> Seen:
    """Call a function on the first of some inputs that it takes, and see what it does.

    Raises:
        SubjectError: it takes none of them, or none of its outputs has a derivative.
    """
    failure: Exception | None = None
    for call, given in tries:
        try:
            return _seen(make, call, given)
        except SubjectError as error:
            failure = failure or error
    raise SubjectError(f"{name}: {failure}")


def _seen(make: MakeSubject, call: LayerCall, given: Callable[[torch.dtype], Given]) -> Seen:
    narrow = torch.float32
    manner = _manner(make, call, narrow, given(narrow))
    manner, widest, notes = _widest(make, call, manner, given)
    subject, before = make(call, manner, widest), torch.get_rng_state()
    returned = subject.forward(given(widest), {})
    if not torch.equal(torch.get_rng_state(), before):
        torch.set_rng_state(before)
        manner = replace(manner, random=True)
        notes = (*notes, "it draws random numbers: torch's generator is set before every call")
    if widest == torch.float64 and _hides(make(call, manner, widest), given(widest)):
        manner = replace(manner, hidden=True)
        notes = (*notes, "it computes with fewer bits than float64 inside: their noise counts")
    outputs = {n: t for n, t in subject.outputs.items() if t.is_floating_point()}
    smooth = tuple(n for n, t in outputs.items() if t.requires_grad)
    if not smooth:
        raise SubjectError(
            "no output has a derivative: autograd sees no path from the inputs to a floating output"
        )
    others = tuple(n for n in returned if n not in smooth)
    if others:
        notes = (*notes, f"{', '.join(others)} has no derivative, by its own word")
    if manner.in_place:
        notes = (*notes, "it writes to its inputs, as it says: they are handed over as copies")
    return Seen(smooth, others, manner, widest, notes)


def _hides(subject: DescribedSubject, given: Given) -> bool:
    """Whether some floating number inside has fewer bits than float64."""
    with Dtypes() as seen:
        results = subject.forward(given, {})
        smooth = {n: t for n, t in subject.outputs.items() if t.requires_grad}
        subject.vjp({n: torch.ones_like(results[n]) for n in smooth})
    return bool(seen.floating - {torch.float64})


def _manner(make: MakeSubject, call: LayerCall, dtype: torch.dtype, given: Given) -> Manner:
    manner = Manner()
    try:
        make(call, manner, dtype).forward(given, {})
    except RuntimeError as error:
        if "in-place operation" not in str(error):
            raise _refused(error, call, given) from error
        manner = Manner(in_place=True)
        try:
            make(call, manner, dtype).forward(given, {})
        except Exception as other:
            raise _refused(other, call, given) from other
    except Exception as error:
        raise _refused(error, call, given) from error
    return manner


def _widest(
    make: MakeSubject, call: LayerCall, manner: Manner, given: Callable[[torch.dtype], Given]
) -> tuple[Manner, torch.dtype, tuple[str, ...]]:
    """How it takes float64, by itself or under that default dtype; float32 where it does not."""
    wide = torch.float64
    for tried in (manner, replace(manner, default_dtype=True)):
        try:
            subject = make(call, tried, wide)
            subject.forward(given(wide), {})
            smooth = {n: t for n, t in subject.outputs.items() if t.requires_grad}
            subject.vjp({n: torch.ones_like(t) for n, t in smooth.items()})
        except Exception:
            continue
        note = ("float64 runs under that default dtype",) if tried.default_dtype else ()
        return tried, wide, note
    return manner, torch.float32, ("it does not take float64: judged in float32",)


def _refused(error: Exception, call: LayerCall, given: Given) -> SubjectError:
    shapes = ", ".join(f"{n} {'x'.join(map(str, t.shape)) or 'scalar'}" for n, t in given.items())
    settings = "".join(f", {name}={value!r}" for name, value in call.arguments)
    first = (str(error).splitlines() or [""])[0]
    return SubjectError(
        f"it raises {type(error).__name__} for {shapes}{settings}: {first}; describe inputs that it"
        " takes"
    )
