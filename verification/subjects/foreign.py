"""A layer that the catalogue does not know: found by name, judged by the row of its kind."""

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import torch
from hypothesis import Phase
from hypothesis.strategies import SearchStrategy
from torch import Tensor

import scratch_layers
from gradcheck.subjects import LayerSubject
from verification import catalogue
from verification.cases import LayerCall
from verification.references.row import Row
from verification.strategies.geometry import Geometry, Limits
from verification.subjects.entry import Entry

Factory = Callable[..., Any]
"""A class, or a function that builds a layer from keyword arguments."""


class SubjectError(ValueError):
    """A subject that cannot be found, built or judged; the message says what to do."""


def load(name: str) -> Factory:
    """The class or function that `package.module:Name` or `path/to/file.py:Name` names.

    Raises:
        SubjectError: there is no such module, file or name, or importing it fails.
    """
    place, _, qualname = name.partition(":")
    if not place or not qualname:
        raise SubjectError(f"layer {name!r}: write package.module:Name or path/to/file.py:Name")
    try:
        found: Any = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    except SubjectError:
        raise
    except Exception as error:
        raise SubjectError(
            f"layer {name!r}: importing {place} fails: {type(error).__name__}: {error}"
        ) from error
    for attribute in qualname.split("."):
        if not hasattr(found, attribute):
            raise SubjectError(f"layer {name!r}: {place} has no {attribute!r}")
        found = getattr(found, attribute)
    if not callable(found):
        raise SubjectError(f"layer {name!r} is a {type(found).__name__}: name a class")
    factory: Factory = found
    return factory


def _load_module(place: str) -> ModuleType:
    # A layer beside the caller's own files, as `python -m` finds it; pytest does not look there.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return importlib.import_module(place)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SubjectError(f"there is no file {path}")
    # Known by its path, so that it hides no module of that name, and so that a class of it knows
    # by which name it is found again.
    spec = importlib.util.spec_from_file_location(str(path), path)
    if spec is None or spec.loader is None:
        raise SubjectError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def foreign_entry(factory: Factory, like: object, *, name: str | None = None) -> Entry:
    """The entry of a hand-written layer, judged by the row of the kind `like`.

    `like` is the name of a kind ("Conv2d"), or a class of that name. Arguments that the factory
    does not take are held at the kind's default; `bias` is held at False where the layer turns out
    to have none.

    Raises:
        SubjectError: no row has that name, the factory wants an argument that the kind has not, or
            the simplest layer of the kind cannot be built.
    """
    model = kind_named(like)
    accepted = _accepted(factory, model.row.name)
    fixed = {
        argument: parameter.default
        for argument, parameter in _arguments(model.row.name).items()
        if argument not in accepted and parameter.default is not parameter.empty
    }
    build = _Build(factory, accepted)
    simplest = _simplest(_held(model.row, fixed))
    try:
        subject = build(simplest.layer, torch.float32, torch.device("cpu"))
    except Exception as error:
        raise SubjectError(
            f"{importable_name(factory)} cannot be built as {simplest.layer}:"
            f" {type(error).__name__}: {error}"
        ) from error
    if "bias" in fixed and len(subject.parameters()) < len(simplest.parameters):
        fixed["bias"] = False
    return replace(
        model,
        name=name or importable_name(factory),
        row=_held(model.row, fixed),
        build=build,
        offers=subject.offers,
        like=model.row.name,
        digest=_digest(factory),
    )


def _digest(factory: Factory) -> str | None:
    """SHA-256 of the file that holds the factory; None where there is no file, as in a notebook."""
    try:
        return hashlib.sha256(Path(inspect.getfile(factory)).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return None


def _held(row: Row, fixed: Mapping[str, Any]) -> Row:
    """The row with some arguments held at one value."""

    def geometries(limits: Limits) -> SearchStrategy[Geometry]:
        free = row.geometries(replace(limits, fixed=tuple(fixed.items())))
        # A geometry may have moved an argument to make the rest fit.
        return free.filter(lambda g: all(g.layer.kwargs.get(n, v) == v for n, v in fixed.items()))

    return replace(row, geometries=geometries) if fixed else row


def _simplest(row: Row) -> Geometry:
    """The first geometry that Hypothesis would draw."""
    settings = hypothesis.settings(
        phases=[Phase.generate], max_examples=50, database=None, derandomize=True
    )
    return hypothesis.find(row.geometries(Limits()), lambda _: True, settings=settings)


def kind_named(like: object) -> Entry:
    """The shipped layer that stands for a kind, by its name or by a class of that name."""
    wanted = like if isinstance(like, str) else getattr(like, "__name__", repr(like))
    for entry in catalogue.SHIPPED.values():
        if entry.row.name == wanted.rpartition(".")[2]:
            return entry
    kinds = ", ".join(entry.row.name for entry in catalogue.SHIPPED.values())
    raise SubjectError(f"no row judges layers like {wanted!r}: choose from {kinds}")


def importable_name(factory: Factory) -> str:
    """`module:qualname` by which a replay finds the layer again; a script's is its file's path."""
    place = factory.__module__
    if place == "__main__":
        place = os.path.relpath(getattr(sys.modules[place], "__file__", None) or place)
    return f"{place}:{getattr(factory, '__qualname__', repr(factory))}"


def _arguments(kind: str) -> Mapping[str, inspect.Parameter]:
    """The arguments of a kind with their defaults: the shipped layer's, which are torch's."""
    return inspect.signature(getattr(scratch_layers, kind)).parameters


def _accepted(factory: Factory, kind: str) -> frozenset[str]:
    """The arguments of the kind that the factory takes."""
    own = _arguments(kind)
    try:
        theirs = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        raise SubjectError(f"{factory!r} shows no signature: wrap it in a function") from None
    if any(p.kind is p.VAR_KEYWORD for p in theirs.values()):
        return frozenset(own)
    unknown = [
        name
        for name, parameter in theirs.items()
        if parameter.default is parameter.empty
        and parameter.kind is not parameter.VAR_POSITIONAL
        and name not in own
    ]
    if unknown:
        raise SubjectError(
            f"{importable_name(factory)} wants {', '.join(unknown)}, which {kind} has not:"
            f" wrap it in a function of {', '.join(own) or 'no arguments'}"
        )
    missing = [n for n, p in own.items() if p.default is p.empty and n not in theirs]
    if missing:
        raise SubjectError(
            f"{importable_name(factory)} does not take {', '.join(missing)}, without which"
            f" no {kind} is built: wrap it in a function that does"
        )
    return frozenset(theirs)


class _Build:
    """Builds the foreign layer from a call in the kind's own words."""

    def __init__(self, factory: Factory, accepted: frozenset[str]) -> None:
        self.factory = factory
        self.accepted = accepted

    def __call__(self, call: LayerCall, dtype: torch.dtype, device: torch.device) -> "Renamed":
        arguments = {n: v for n, v in call.arguments if n in self.accepted}
        # Most hand-written layers cannot be moved: their parameters are made where and as torch's
        # defaults say.
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with device:
                layer = self.factory(**arguments)
        finally:
            torch.set_default_dtype(default)
        if hasattr(layer, "to"):
            layer = layer.to(device, dtype)
        return Renamed(LayerSubject(layer))


class Renamed:
    """A subject whose parameters answer to the names that the row gives them, in order.

    A hand-written layer calls its weight `w` or `kernel`; the order, weight before bias, is common
    to all. Names that are the row's own stay.
    """

    def __init__(self, subject: LayerSubject) -> None:
        self.subject = subject
        self.layer = subject.layer
        self.name = subject.name
        self.offers = subject.offers
        self._own_names: dict[str, str] = {}

    def parameters(self) -> dict[str, Tensor]:
        """The layer's own parameter values, by its own names."""
        return self.subject.parameters()

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        own = list(self.subject.parameters())
        if set(own) >= set(parameters) or len(own) != len(parameters):
            self._own_names = {name: name for name in parameters}
        else:
            self._own_names = dict(zip(parameters, own, strict=True))
        renamed = {self._own_names[name]: value for name, value in parameters.items()}
        return self.subject.forward(inputs, renamed)

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        row_names = {own: name for name, own in self._own_names.items()}
        gradients = self.subject.vjp(cotangents)
        return {row_names.get(name, name): gradient for name, gradient in gradients.items()}
