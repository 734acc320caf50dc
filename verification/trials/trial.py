"""A Trial: a Case made real. It builds the subject, makes the tensors, and knows the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from gradcheck.subjects import Subject
from verification.cases import REAL, Case, Role, TensorSpec
from verification.references.laws.enclosure import Enclosure, Precision, integers
from verification.references.laws.law import Enclosures
from verification.strategies.descriptions import domains
from verification.subjects.entry import Entry
from verification.trials.guards import globals_restored
from verification.trials.materialise import Budget, Placed, materialise
from verification.trials.outcome import Unjudged
from verification.trials.requirements import Requirements
from verification.trials.results import Results, gradients_of

T = TypeVar("T")


@dataclass(frozen=True)
class Truth:
    """The enclosed outputs and gradients of one call, by the names of the tensors."""

    outputs: Enclosures
    gradients: Enclosures


class Trial(Requirements):
    """One experiment under way. A property gets a Trial and nothing else."""

    def __init__(self, case: Case, entry: Entry) -> None:
        super().__init__(case, entry)
        self.precision = Precision(self.dtype)

    # The subject and its tensors

    @cached_property
    def subject(self) -> Subject:
        """The subject, built once; a property that needs a second one calls `build`."""
        return self.build()

    def build(self) -> Subject:
        """A fresh subject."""
        return self.attempt(
            "cannot be built", self.entry.build, self.case.layer, self.dtype, self.device
        )

    @cached_property
    def placed(self) -> dict[str, Placed]:
        """Every input and parameter in its guarded buffer, by name."""
        specs = (*self.case.of_role(Role.INPUT), *self.case.of_role(Role.PARAMETER))
        return {spec.name: self.make(spec) for spec in specs}

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The inputs by name."""
        return {spec.name: self.placed[spec.name].tensor for spec in self.case.of_role(Role.INPUT)}

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The parameters by name."""
        specs = self.case.of_role(Role.PARAMETER)
        return {spec.name: self.placed[spec.name].tensor for spec in specs}

    @cached_property
    def placed_cotangents(self) -> dict[str, Placed]:
        """The cotangents in their guarded buffers; their shapes are those of the true outputs."""
        return {
            spec.name: self.make(spec, tuple(self.true_outputs[spec.name].value.shape))
            for spec in self.case.of_role(Role.COTANGENT)
            # Of a described function some outputs come with some settings only.
            if not self.entry.row.described or spec.name in self.true_outputs
        }

    @property
    def cotangents(self) -> dict[str, Tensor]:
        """The cotangents by the names of the outputs they belong to."""
        return {name: placed.tensor for name, placed in self.placed_cotangents.items()}

    def make(self, spec: TensorSpec, shape: tuple[int, ...] | None = None) -> Placed:
        """Make a spec real on this trial's device, in its dtype unless the spec has its own."""
        sizes = spec.shape if spec.shape is not None else shape
        if sizes is None:
            raise ValueError(f"tensor {spec.name!r} has no shape, and nothing supplies one")
        return materialise(spec, sizes, lambda: self.budget, self.dtype, self.device)

    def member(self, name: str, numbers: Tensor) -> Tensor:
        """Numbers of a property's own in the domain of that tensor; itself if none can be."""
        spec = next(spec for spec in self.case.tensors if spec.name == name)
        if spec.domain == REAL:
            return numbers
        domain, own = domains.parse(spec.domain), self.placed[name].tensor
        return own if domain.closed else domain.member(numbers.double()).to(own.dtype)

    @cached_property
    def budget(self) -> Budget:
        """How large integers may be: the law counts the terms of every sum on tensors of ones."""
        law, call = self.entry.row.law, self.case.layer
        ones = {
            spec.name: Enclosure.of(
                domains.parse(spec.domain).member(torch.ones(spec.shape or ())), exact=True
            )
            for spec in self.case.tensors
            if spec.role is not Role.COTANGENT
        }
        precision = Precision(torch.float64)
        counted = law.forward(call, ones, precision)
        if self.case.of_role(Role.COTANGENT):
            cotangents = {
                name: Enclosure.of(torch.ones_like(e.value), exact=True)
                for name, e in counted.items()
            }
            counted = counted | law.backward(call, ones, cotangents, precision)
        # A mean over labels that are all ignored counts no number of terms.
        magnitudes = (e.magnitude[e.magnitude.isfinite()] for e in counted.values())
        terms = [m.max().item() for m in magnitudes if m.numel()]
        return Budget.of(max(1, round(max(terms, default=1))), law.degree(call), self.dtype)

    # What the subject does

    def forward(
        self,
        inputs: Mapping[str, Tensor] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
        *,
        subject: Subject | None = None,
    ) -> dict[str, Tensor]:
        """The subject's outputs by name, on the case's tensors unless others are given."""
        judged = self.subject if subject is None else subject
        outputs = self.attempt(
            "forward raises",
            judged.forward,
            self.inputs if inputs is None else inputs,
            self.parameters if parameters is None else parameters,
        )
        return Results(outputs, self.fail)

    def vjp(
        self, cotangents: Mapping[str, Tensor] | None = None, *, subject: Subject | None = None
    ) -> dict[str, Tensor]:
        """The gradients of the latest forward by name."""
        judged = self.subject if subject is None else subject
        given = self.cotangents if cotangents is None else cotangents
        gradients = self.attempt("backward raises", judged.vjp, given)
        for name, gradient in gradients.items():
            is_tensor = isinstance(gradient, Tensor)
            sentence = f"{name} gradient is a {type(gradient).__name__}, not a tensor"
            self.require(is_tensor, "type", f"{name} gradient", sentence)
        return Results(gradients, self.fail)

    def gradients(
        self,
        inputs: Mapping[str, Tensor] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
        cotangents: Mapping[str, Tensor] | None = None,
        *,
        subject: Subject | None = None,
    ) -> dict[str, Tensor]:
        """Forward, then the gradients by name."""
        self.forward(inputs, parameters, subject=subject)
        return self.vjp(cotangents, subject=subject)

    def results(
        self,
        inputs: Mapping[str, Tensor] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
        cotangents: Mapping[str, Tensor] | None = None,
        *,
        subject: Subject | None = None,
    ) -> Results:
        """All that one call yields: the outputs and, where the case has cotangents, every "NAME
        gradient".
        """
        outputs = self.forward(inputs, parameters, subject=subject)
        given = self.cotangents if cotangents is None else cotangents
        gradients = gradients_of(self.vjp(given, subject=subject)) if given else {}
        return Results({**outputs, **gradients}, self.fail)

    def attempt(self, what: str, act: Callable[..., T], *arguments: Any) -> T:
        """What the subject's own code returns; an error there is a discrepancy, and `what` says
        where.
        """
        try:
            with globals_restored():
                return act(*arguments)
        except Unjudged:
            raise
        except (Exception, SystemExit) as error:
            if self.entry.row.described and any(not t.numel() for t in self.inputs.values()):
                self.unjudged("an empty tensor is refused")
            self.fail_with(error, what)

    # What is true

    @cached_property
    def true_outputs(self) -> Enclosures:
        """The enclosed outputs on the case's own tensors."""
        return self.enclose_outputs(self.inputs, self.parameters)

    @cached_property
    def truth(self) -> Truth:
        """The enclosed outputs and gradients on the case's own tensors."""
        return Truth(
            self.true_outputs,
            self.enclose_gradients(self.inputs, self.parameters, self.cotangents),
        )

    @cached_property
    def true_results(self) -> Enclosures:
        """What `results` must be."""
        if not self.case.of_role(Role.COTANGENT):
            return self.true_outputs
        return self.true_outputs | gradients_of(self.truth.gradients)

    def enclose_outputs(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> Enclosures:
        """The enclosed outputs on any tensors."""
        given = _enclosed({**inputs, **parameters})
        return self._ask(self.entry.row.law.forward, self.case.layer, given, self.precision)

    def enclose_gradients(
        self,
        inputs: Mapping[str, Tensor],
        parameters: Mapping[str, Tensor],
        cotangents: Mapping[str, Tensor],
    ) -> Enclosures:
        """The enclosed gradients on any tensors."""
        given = _enclosed({**inputs, **parameters})
        law, pulled = self.entry.row.law, _enclosed(cotangents)
        return self._ask(law.backward, self.case.layer, given, pulled, self.precision)

    def _ask(self, act: Callable[..., Enclosures], *arguments: Any) -> Enclosures:
        """What the law says; a stand-in for it is the subject's own code, and may raise."""
        if self.entry.row.described:
            return self.attempt("a run in float64 raises", act, *arguments)
        return act(*arguments)


def _enclosed(tensors: Mapping[str, Tensor]) -> Enclosures:
    return {name: Enclosure.of(tensor, integers(tensor)) for name, tensor in tensors.items()}
