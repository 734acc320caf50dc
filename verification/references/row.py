"""A Row: all that the suite knows of one kind of layer. Adding a layer to the suite is writing one
Row.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch

import scratch_layers
from gradcheck.subjects import Subject
from verification.cases import LayerCall
from verification.references.clauses import Clause
from verification.references.laws.law import Law
from verification.strategies.drawing import SearchStrategy
from verification.strategies.geometry import Geometry, Limits

__all__ = ["Clause", "Refusal", "Row", "Trait"]

_NOT_OF_THE_KIND = frozenset({"device", "dtype", "inplace", "size_average", "reduce"})
"""Arguments in torch.nn's constructors that say where a layer stands, or are deprecated there."""


_DRAWN = "lr"
"""An argument that a geometry gives for every step, so that no default stands for it."""


class Trait(StrEnum):
    """What is mathematically true of a kind of layer."""

    LINEAR_IN_INPUT = "linear in the input"  # affine: the bias is allowed
    LINEAR_IN_PARAMETERS = "linear in the parameters"
    BATCHED = (
        "batched"  # axis 0 of the input and of the output are samples that do not see each other
    )
    ELEMENTWISE = "elementwise"
    DIFFERENTIABLE = "differentiable"  # there is a backward to judge; an optimiser has none
    # From the third axis on, all inputs alike may be larger: a larger picture is valid too.
    RESIZABLE = "resizable"


@dataclass(frozen=True)
class Refusal:
    """A use that must be refused, as data: the geometry that does it, and what the error must say.

    `when` is "build", "forward" or "backward"; `error` is the exception's class name; `says` are
    words that its message must contain, the offending argument's name among them.
    """

    geometry: Geometry
    when: str
    error: str
    says: tuple[str, ...]


@dataclass(frozen=True)
class Nothing:
    """Cases of a kind in which nothing is left to take a mean of: every label is ignored, every key
    masked, every number dropped. `argument` is the one without which a layer cannot come to that,
    or where it is held at another than this `value`.
    """

    argument: str
    geometries: Callable[[Limits], SearchStrategy[Geometry]]
    value: Any = None


@dataclass(frozen=True)
class Row:
    """One kind of layer: strategies for its cases, its law, its traits, and the clauses that a
    right one keeps.

    twin: the constructor of this kind in torch.nn or torch.optim, or one made of them; None where
    the row is described. departures: the clauses that the twin does not keep, each with the reason;
    docs/findings.md reproduces them. adapter: what a subject of this kind is judged through, where
    the subject alone is no function of its tensors, given the way to make one. nothing: cases that
    its formula leaves open, which its other geometries do not draw. spare: how the names of
    parameters begin that a layer may do without, as if they were zero. described: nothing is known
    but the inputs, so that the law is the subject's own run in float64. tensor_arguments: arguments
    that a constructor takes as tensors; a call holds them as tuples of numbers. constants: inputs
    that a layer may take for given, so that they have no gradient or one of zeros. rests: arguments
    that others take as what is left of 1, with what that is.
    """

    name: str
    law: Law
    geometries: Callable[[Limits], SearchStrategy[Geometry]]
    traits: frozenset[Trait]
    clauses: frozenset[Clause] = frozenset(Clause)
    refusals: Callable[[], SearchStrategy[Refusal]] | None = None
    twin: Callable[..., Any] | None = None
    departures: Mapping[Clause, str] = field(default_factory=dict)
    adapter: Callable[[LayerCall, Callable[[], Subject]], Subject] | None = None
    nothing: Nothing | None = None
    spare: tuple[str, ...] = ()
    described: bool = False
    tensor_arguments: frozenset[str] = frozenset()
    constants: tuple[str, ...] = ()
    rests: Mapping[str, str] = field(default_factory=dict)

    def constructed(
        self, arguments: Mapping[str, Any], dtype: torch.dtype, device: torch.device
    ) -> dict[str, Any]:
        """The arguments of a call as a constructor takes them."""
        return {
            name: torch.tensor(value, dtype=dtype, device=device)
            if name in self.tensor_arguments and value is not None
            else value
            for name, value in arguments.items()
        }

    def with_rests(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with what is left of 1 in the place of a share."""
        return {**arguments, **{name: 1 - arguments[name] for name in self.rests}}

    @property
    def signature(self) -> inspect.Signature:
        """The arguments that a layer of this kind is built from, with their defaults: those of the
        shipped layer, or else of the twin. Empty where there is neither.
        """
        make = getattr(scratch_layers, self.name, self.twin)
        if make is None:
            return inspect.Signature()
        known = inspect.signature(make).parameters.values()
        # A twin of no arguments may still take any: torch.nn.Tanh(*args, **kwargs).
        own = (p for p in known if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        own = (p.replace(default=p.empty) if p.name == _DRAWN else p for p in own)
        return inspect.Signature([p for p in own if p.name not in _NOT_OF_THE_KIND])
