"""A function that is judged by the description of its inputs, under the subject protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradcheck.subjects import AutogradSubject, named_outputs
from verification.subjects.described.calling import Callee, Ready, callee_of
from verification.subjects.loading import SubjectError
from verification.subjects.seeded import seeded


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

    names: the inputs, in order; parameters of its own are further inputs, which have their own
    values where none are given. seed: of torch's generator before every forward and backward, if
    the function draws. asking: the inputs that ask for a gradient, the others are plain tensors;
    None for all.
    """

    def __init__(
        self,
        callee: Callee,
        names: tuple[str, ...],
        settings: Mapping[str, Any],
        declared: Declared,
        manner: Manner,
        dtype: torch.dtype,
    ) -> None:
        self.callee = callee
        self.name = callee.name
        self.offers: frozenset[str] = frozenset({"double_backward"})
        self.settings = dict(settings)
        self.declared = declared
        self.seed = 0
        self.asking: frozenset[str] | None = None
        self.manner = manner
        self._dtype = dtype
        self._described = names
        self._ready: Ready = callee.ready(settings, dtype)
        twice = sorted({*names} & {*self.own})
        if twice:
            raise SubjectError(
                f"{', '.join(twice)} is an argument and a parameter too: give one another name"
            )

    @property
    def own(self) -> Mapping[str, Tensor]:
        """The values of its own parameters."""
        return self._ready.parameters

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The outputs by name, with a graph kept for `vjp`."""
        outputs = self._run({**inputs, **self._unsaid(inputs)}, parameters)
        self._leaves = {n: t for n, t in self._leaves.items() if self._asks(n)}
        return outputs

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradients of the inputs that ask for one; zero where autograd has none."""
        with self._as_needed():
            return super().vjp(cotangents)

    def call(self, inputs: list[Tensor], parameters: dict[str, Tensor]) -> object:
        """The function on these tensors: the described ones, then parameters of its own."""
        given = {
            name: self._handed_over(name, tensor)
            for name, tensor in zip((*self._described, *self.own), inputs, strict=False)
        }
        with self._as_needed():
            return self._ready.call(given)

    def _unsaid(self, inputs: Given) -> dict[str, Tensor]:
        return {name: value for name, value in self.own.items() if name not in inputs}

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
                stack.enter_context(seeded(self.seed))
            if self.manner.default_dtype:
                stack.callback(torch.set_default_dtype, torch.get_default_dtype())
                torch.set_default_dtype(self._dtype)
            yield

    def other(self, function: Callable[..., Any]) -> DescribedSubject:
        """Another function on the same inputs and settings, in the same manner; parameters of the
        same names have the same values.
        """
        other = DescribedSubject(
            callee_of(function),
            self._described,
            self.settings,
            self.declared,
            self.manner,
            self._dtype,
        )
        other._ready = other._ready.with_values(self.own)
        return other

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
