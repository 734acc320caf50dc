"""The layer that is to be replaced, as the truth of the one that replaces it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradcheck.subjects import Subject
from verification.cases import LayerCall
from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import Enclosures, Law
from verification.references.row import Row
from verification.subjects.driving.drivers import Driver
from verification.subjects.loading import SubjectError
from verification.subjects.probing.probed import Probed
from verification.subjects.probing.trying import Kind, build, trial_of


@dataclass(frozen=True)
class Against:
    """A law whose values are what another layer computes in float64. How far rounding may carry a
    right result from them is the kind's own law to say: the largest of its bounds, for all entries
    of a tensor, since the other layer need not be of the kind to the last convention.
    """

    law: Law
    old: Driver

    def degree(self, call: LayerCall) -> int:
        return self.law.degree(call)

    def forward(self, call: LayerCall, tensors: Enclosures, precision: Precision) -> Enclosures:
        _, outputs = self._run(call, tensors)
        return _with_values(self.law.forward(call, tensors, precision), outputs)

    def backward(
        self, call: LayerCall, tensors: Enclosures, cotangents: Enclosures, precision: Precision
    ) -> Enclosures:
        subject, _ = self._run(call, tensors)
        gradients = subject.vjp({name: c.value for name, c in cotangents.items()})
        return _with_values(self.law.backward(call, tensors, cotangents, precision), gradients)

    def _run(self, call: LayerCall, tensors: Enclosures) -> tuple[Subject, dict[str, Tensor]]:
        subject = self.old(call, torch.float64, torch.device("cpu"))
        values = {name: tensor.value for name, tensor in tensors.items()}
        parameters = {name: values.pop(name) for name in self.old.names if name in values}
        return subject, subject.forward(values, parameters)


def _with_values(truths: Enclosures, values: Mapping[str, Tensor]) -> Enclosures:
    found = {}
    for name, truth in truths.items():
        value = values[name].detach().double()
        largest = truth.error.max() if truth.error.numel() else truth.error.sum()
        error = largest.expand_as(value).clone()
        found[name] = Enclosure(value, error, truth.magnitude, truth.exact)
    return found


def require_shapes(kind: Row, old: Driver, found: Probed) -> None:
    """Raise SubjectError where a layer to judge against gives other shapes than its kind does, with
    any number of axes: with one of them it may be right by an odd way to drive it.
    """
    tried, free = Kind.of(kind), replace(found, axes=())
    row = tried.plain(free)
    for case in tried.telling(free)[: len(tried.axes)]:
        trial = trial_of(case, row)
        try:
            outputs = build(old, case).forward(trial.inputs, trial.parameters)
        except Exception:  # it does not take so many axes
            continue
        for name, truth in trial.true_outputs.items():
            shape = tuple(outputs[name].shape)
            if shape != tuple(truth.value.shape):
                raise SubjectError(
                    f"the layer to judge against gives an output of shape {shape} for {case.layer},"
                    f" and a {kind.name} gives {tuple(truth.value.shape)}: name one of that kind"
                )
