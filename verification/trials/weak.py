"""Weak accuracy: what a foreign layer may miss its strict bound by and still not be wrong.

The strict bound holds for every order of summation, entry by entry. A convolution by FFT or by
Winograd's products is right and misses it: its error is small beside the largest entries of the
result, and not beside each of them. So the limit is one for all entries of a tensor: FACTOR times
the largest of the strict bounds, of what rounding the given numbers once could do to the truth, and
of the error that torch.nn's own layer makes on the very case. Of a linear map the first two are
those of a case whose numbers are all as large as the largest of their tensor: where zeros meet
zeros a transform still rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradcheck import rounding
from gradcheck.subjects import ModuleSubject, Subject
from verification.cases import LayerCall
from verification.references import torch_nn
from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import Enclosures, Law
from verification.references.row import Clause, Row, Trait
from verification.subjects.entry import Entry

FACTOR = 4
"""How many times the largest error that a careful computation may make is weak and not wrong."""


def leniently(entry: Entry) -> Entry:
    """The same subject, held to the limit of weak accuracy."""
    # Where another layer is the truth, torch.nn's may be right and yet differ from it.
    twin = None if "against" in dict(entry.spec.adapter) else _twin_of(entry.row)
    law = Loosened(entry.row.law, Trait.LINEAR_IN_INPUT in entry.row.traits, twin)
    return replace(entry, row=replace(entry.row, law=law))


def _twin_of(row: Row) -> Entry | None:
    if Clause.WIDE_PADDING in row.departures:
        return None  # what computes beside its tensors is no measure, and may end this process
    return next((e for e in torch_nn.REFERENCES.values() if e.row.name == row.name), None)


@dataclass(frozen=True)
class Loosened:
    """A law whose bounds are those of weak accuracy; nothing is claimed to be exact."""

    law: Law
    linear: bool
    twin: Entry | None

    def degree(self, call: LayerCall) -> int:
        return self.law.degree(call)

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        strict = self.law.forward(call, tensors, precision)
        once = self.law.forward(call, self._rounded(tensors, precision), precision)
        return _loose(strict, once, self._twin(call, tensors, {}, precision))

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        strict = self.law.backward(call, tensors, cotangents, precision)
        once = self.law.backward(
            call, self._rounded(tensors, precision), self._rounded(cotangents, precision), precision
        )
        return _loose(strict, once, self._twin(call, tensors, cotangents, precision))

    def _rounded(self, tensors: Enclosures, precision: Precision) -> Enclosures:
        """The tensors with a relative error of one rounding in each element; those of a linear map
        with every element as large as the largest.
        """
        u = rounding.unit_roundoff(precision.dtype)
        rounded = {}
        for name, tensor in tensors.items():
            value = tensor.value
            if self.linear:
                value = torch.full_like(value, _largest(value.abs()))
            error = tensor.error + u * value.abs()
            rounded[name] = Enclosure(value, error, value.abs(), exact=False)
        return rounded

    def _twin(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Mapping[str, Tensor]:
        """What torch.nn computes in the layer's precision; nothing where it takes no such case."""
        if self.twin is None:
            return {}
        try:
            subject = self.twin.build(call, precision.dtype, torch.device("cpu"))
            outputs = subject.forward(*_by_role(subject, _in(tensors, precision)))
            return subject.vjp(_in(cotangents, precision)) if cotangents else outputs
        except Exception:  # whatever it refuses, it then says nothing of
            return {}


def _by_role(
    subject: Subject, tensors: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and parameters; an optimiser has inputs alone."""
    own: set[str] = set()
    if isinstance(subject, ModuleSubject):
        own = {name for name, _ in subject.layer.named_parameters()}
        own |= {name for name, _ in subject.layer.named_buffers()}
    inputs = {name: tensor for name, tensor in tensors.items() if name not in own}
    return inputs, {name: tensor for name, tensor in tensors.items() if name in own}


def _in(tensors: Enclosures, precision: Precision) -> dict[str, Tensor]:
    return {name: tensor.value.to(precision.dtype) for name, tensor in tensors.items()}


def _loose(strict: Enclosures, once: Enclosures, twin: Mapping[str, Tensor]) -> Enclosures:
    loose = {}
    for name, truth in strict.items():
        errors = [truth.error, once[name].error]
        if name in twin and twin[name].shape == truth.value.shape:
            errors.append((twin[name].double() - truth.value).abs())
        largest = max(map(_largest, errors))
        error = torch.full_like(truth.value, FACTOR * largest).where(truth.value.isfinite(), 0.0)
        loose[name] = Enclosure(truth.value, error, truth.magnitude, exact=False)
    return loose


def _largest(errors: Tensor) -> float:
    finite = errors[errors.isfinite()]
    return float(finite.max()) if finite.numel() else 0.0
