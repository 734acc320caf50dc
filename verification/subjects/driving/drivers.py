"""Drivers: the ways to build and drive somebody's layer or function from a call in the kind's own
words.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from gradcheck.subjects import Subject
from verification.cases import LayerCall
from verification.cases.subject_spec import Told
from verification.references.row import Row, Trait
from verification.subjects.driving.alone import Alone
from verification.subjects.driving.arguments import (
    RESTS,
    Matching,
    Source,
    matched_by_name,
    matchings,
)
from verification.subjects.driving.built import Built
from verification.subjects.driving.function_calls import (
    UPDATED,
    Call,
    call_of,
    parameters_of,
    takes_gradients,
    takes_tensors,
)
from verification.subjects.driving.functional import Differentiated, FunctionPair, updating
from verification.subjects.driving.native import Native
from verification.subjects.driving.optimizers import OfArrays, OptimizerSubject, Stepping, Updating
from verification.subjects.driving.parameters import GIVEN, usual_name
from verification.subjects.driving.stateful import BACKWARD, Stateful, method
from verification.subjects.driving.told import Adapter
from verification.subjects.driving.translation import BATCHES, SAMPLES, Axes, Translation, told_axes
from verification.subjects.loading import Factory, Loaded, SubjectError, importable_name


@dataclass(frozen=True)
class Driver:
    """One way to drive a subject: which argument is which, and how tensors are translated.

    row: that of the kind. names: those of the kind's parameters. still: whether the subject is told
    not to train. alone: whether it takes one sample at a time. rest: whether it takes what is
    left of 1 where its kind takes a share. taken: the arguments of the kind that the subject takes.
    """

    row: Row
    loaded: Loaded
    names: tuple[str, ...]
    told: Adapter
    matching: Matching | Call
    translation: Translation
    still: bool = False
    alone: bool = False
    rest: bool = False

    @property
    def limits(self) -> Iterator[str]:
        """What of it a verdict is limited to."""
        if self.rest:
            for argument, meaning in self.row.rests.items():
                yield f"{argument} is {meaning}"

    @property
    def taken(self) -> frozenset[str]:
        """The arguments of the kind that the subject takes."""
        return self.matching.taken

    @property
    def notes(self) -> Iterator[str]:
        """What was found out, in sentences."""
        yield from self.matching.notes
        if self.still:
            yield "told not to train: in training it gives other results every time"
        if self.alone:
            yield "takes one sample, and is given those of a batch in turn"
        yield from self.translation.notes

    def differs(self, inputs: Mapping[str, Tensor]) -> bool:
        """Whether these inputs are given to the subject in another way than by a plainer driver."""
        given = {n: x[0] for n, x in inputs.items()} if self.alone else inputs
        found = {*self.translation.axes} - {*dict(self.told.layout)}
        turned = self.translation.columns or not found.isdisjoint(given)
        return not turned or self.translation.turns(given)

    @property
    def way(self) -> Told:
        """All of it but the code and what was told of it: plain data, for `along`."""
        call, translation = self.matching, self.translation
        found: dict[str, Any] = {
            "names": self.names,
            "numpy": translation.numpy,
            "still": self.still,
            "alone": self.alone,
            "rest": self.rest,
            "axes": tuple(translation.axes.items()),
            "columns": translation.columns,
            "sources": tuple(call.sources.items()),
        }
        if isinstance(call, Matching):
            found |= {"idle": call.idle, "held": tuple(call.held.items())}
        else:
            found |= {
                "tensors": tuple(call.tensors.items()),
                "options": call.options,
                "kind": tuple(call.kind) if call.options else (),
                "positional": call.positional,
            }
        return tuple((n, v) for n, v in found.items() if v or n in ("sources", "tensors"))

    @classmethod
    def along(cls, way: Told, loaded: Loaded, row: Row, told: Adapter) -> Self:
        """The driver that was found before; nothing is looked for."""
        stored, (matching, translation) = dict(way), stored_call(way, told)
        names, still = stored.get("names", ()), stored.get("still", False)
        alone, rest = stored.get("alone", False), stored.get("rest", False)
        return cls(row, loaded, names, told, matching, translation, still, alone, rest)

    def with_axes(self, axes: Mapping[str, Axes]) -> Driver:
        """The same with tensors in these orders of axes; the kind's own order needs no mention."""
        turned = {n: order for n, order in axes.items() if list(order) != sorted(order)}
        merged = {**self.translation.axes, **turned}
        return replace(self, translation=replace(self.translation, axes=merged))

    def without(self, parameters: Sequence[str]) -> Driver:
        """The same for a subject that has not these parameters."""
        return replace(self, names=tuple(name for name in self.names if name not in parameters))

    def asking(self, arguments: Sequence[str]) -> Driver:
        """The same where a function's dict of arguments is asked for these alone."""
        call = self.matching
        if not arguments or not isinstance(call, Call) or call.options is None:
            return self
        return replace(self, matching=replace(call, kind=tuple(arguments)))

    def __call__(self, call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
        """Build the subject, as its kind is judged."""

        def make() -> Subject:
            subject = self._built(call, dtype, device)
            return Alone(subject) if self.alone else subject

        adapter = self.row.adapter
        return make() if adapter is None else adapter(call, make)

    def _built(self, call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
        kind = self.row.constructed(call.kwargs, dtype, device)
        if self.rest:
            kind = self.row.with_rests(kind)
        if "lr" in kind:
            return self._optimizer(call)
        if isinstance(self.matching, Call):
            if isinstance(self.loaded, tuple):
                return FunctionPair(self.loaded, self.matching, kind, self.translation)
            return Differentiated(self.loaded, self.matching, kind, self.translation)
        factory, arguments = self.loaded, self.matching.call(kind)
        assert not isinstance(factory, tuple)
        if self.matching.held:
            return Built(
                call.name,
                lambda own: self._around(_built(factory, {**arguments, **own}, dtype, device)),
                self.matching.held,
                self.translation,
            )
        subject = self._around(_built(factory, arguments, dtype, device))
        if "training" in kind and "training" not in self.taken and subject.takes_training:
            subject.train(kind["training"])
        if self.still:
            subject.train(False)
        return subject

    def _optimizer(self, call: LayerCall) -> OptimizerSubject:
        arguments, matching = call.kwargs, self.matching
        rates, loaded = arguments.pop("lr"), self.loaded
        assert not isinstance(loaded, tuple)
        if isinstance(matching, Call):
            update = updating(loaded, matching, self.translation)
            return OptimizerSubject(call.name, lambda w, lr: Stepping(update, w, arguments), rates)
        rate = next((own for own, (name, _) in matching.sources.items() if name == "lr"), "lr")
        own = matching.call(arguments)

        def make(weights: Sequence[Any], lr: float) -> Any:
            arguments = {rate: lr, **own}
            if not _takes_parameters(inspect.signature(loaded).parameters, matching.sources):
                return Updating(loaded(**arguments), weights)
            if self.translation.numpy:
                return OfArrays(lambda held: loaded(held, **arguments), weights)
            return loaded(weights, **arguments)

        return OptimizerSubject(call.name, make, rates)

    def _around(self, layer: Any) -> Native | Stateful:
        backward = method(layer, (self.told.backward or "", *BACKWARD))
        if isinstance(layer, nn.Module) and backward is None:
            return Native(layer, self.names, self.translation)
        return Stateful(layer, self.names, self.told, self.translation)


def stored_call(way: Told, told: Adapter) -> tuple[Matching | Call, Translation]:
    """What each argument of a subject is and how its tensors are translated, of `Driver.way`."""
    stored, constants = dict(way), dict(told.kwargs)
    sources = dict(stored.get("sources", ()))
    translation = Translation(
        stored.get("numpy", False), dict(stored.get("axes", ())), stored.get("columns", False)
    )
    if "tensors" not in stored:
        idle, held = stored.get("idle", ()), dict(stored.get("held", ()))
        return Matching(sources, constants, idle=idle, held=held), translation
    call = Call(
        dict(stored["tensors"]),
        sources,
        stored.get("kind", ()),
        stored.get("options"),
        stored.get("positional"),
        constants,
    )
    return call, translation


def _built(
    factory: Factory, arguments: Mapping[str, Any], dtype: torch.dtype, device: torch.device
) -> Any:
    # Most hand-written layers cannot be moved: their parameters are made where and as torch's
    # defaults say.
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            layer = factory(**arguments)
    finally:
        torch.set_default_dtype(default)
    return layer.to(device, dtype) if hasattr(layer, "to") else layer


def _takes_parameters(theirs: Mapping[str, inspect.Parameter], known: Mapping[str, Source]) -> bool:
    """Whether the first argument of an optimiser's constructor is no argument of its kind."""
    return bool(theirs) and next(iter(theirs)) not in known


def drivers(
    loaded: Loaded, row: Row, inputs: Sequence[str], held: Sequence[str], told: Adapter
) -> Iterator[Driver]:
    """The ways to drive a subject, the likeliest first; `inputs` and `held` are the names of the
    kind's inputs and parameters.

    Raises:
        SubjectError: its arguments do not fit the kind's.
    """
    kind = row.signature.parameters
    batches = list(_translations(loaded, told, BATCHES))
    # Of several inputs it is not known which of them have a sample each.
    by_one = Trait.BATCHED in row.traits and len(inputs) == 1
    samples = list(_translations(loaded, told, SAMPLES)) if by_one else []
    for matching in _matchings(loaded, row, kind, inputs, held, told):
        for rest in _rests(row, matching):
            plain = Driver(row, loaded, tuple(held), told, matching, Translation(), rest=rest)
            yield from (replace(plain, translation=each) for each in batches)
            yield from (replace(plain, translation=each, alone=True) for each in samples)


def _rests(row: Row, matching: Matching | Call) -> tuple[bool, ...]:
    """Whether the subject may take what is left of 1: it does where a name says so."""
    if not row.rests:
        return (False,)
    return (True,) if {*RESTS} & {*matching.sources} else (False, True)


def _matchings(
    loaded: Loaded,
    row: Row,
    kind: Mapping[str, inspect.Parameter],
    inputs: Sequence[str],
    held: Sequence[str],
    told: Adapter,
) -> Iterator[Matching | Call]:
    renamed, constants = dict(told.rename), dict(told.kwargs)
    first = loaded[0] if isinstance(loaded, tuple) else loaded
    tensors, takes = (*inputs, *held), takes_tensors
    if Trait.DIFFERENTIABLE not in row.traits:
        kind = {name: parameter for name, parameter in kind.items() if name != "params"}
        tensors, takes = UPDATED, takes_gradients
    if isinstance(loaded, tuple) or takes(first, kind):
        yield call_of(
            importable_name(first),
            parameters_of(first),
            tensors,
            kind,
            renamed,
            constants,
            by_position=isinstance(first, type),  # apply() of an autograd.Function
        )
        return
    try:
        theirs = dict(inspect.signature(first).parameters)
        if getattr(first, "__init__", None) is nn.Module.__init__:
            theirs = {}  # its **kwargs are there to be refused
    except (TypeError, ValueError):
        raise SubjectError(f"{first!r} shows no signature: wrap it in a function") from None
    if Trait.DIFFERENTIABLE not in row.traits:  # an optimiser: the parameters come first, if at all
        named = {own: matched_by_name(own, kind, renamed) for own in theirs}
        if _takes_parameters(theirs, {own: source for own, source in named.items() if source}):
            theirs.pop(next(iter(theirs)))
    own = _own_parameters(theirs, kind, held)
    yield from matchings(importable_name(first), row.name, kind, theirs, renamed, constants, own)


def _own_parameters(
    theirs: Mapping[str, inspect.Parameter],
    kind: Mapping[str, inspect.Parameter],
    held: Sequence[str],
) -> dict[str, str]:
    """The arguments of a constructor that are parameters of the kind, if it takes such."""
    found = {
        own: name
        for own, parameter in theirs.items()
        if own.lower() in GIVEN and own not in kind and parameter.default is parameter.empty
        if (name := usual_name(own, held)) is not None
    }
    return found if held and held[0] in found.values() else {}


def _translations(
    loaded: Loaded, told: Adapter, forms: Sequence[Translation]
) -> Iterator[Translation]:
    """In these forms tensors or arrays, whichever the module of the code uses alone comes first."""
    axes = told_axes(dict(told.layout))
    first = loaded[0] if isinstance(loaded, tuple) else loaded
    module = inspect.getmodule(first)
    used = {getattr(value, "__name__", "") for value in vars(module).values()} if module else set()
    numpy_first = "numpy" in used and "torch" not in used
    for form in forms:
        for numpy in (numpy_first, not numpy_first):
            yield replace(form, numpy=numpy, axes={**form.axes, **axes})


def held_by_constants(
    constants: Mapping[str, Any], kind: Mapping[str, inspect.Parameter], renamed: Mapping[str, str]
) -> dict[str, Any]:
    """The arguments of the kind that the user's own constants hold at one value."""
    found = {own: matched_by_name(own, kind, renamed) for own in constants}
    return {s[0]: constants[own] for own, s in found.items() if s is not None and s[1] is None}
