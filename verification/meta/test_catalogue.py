"""Every public layer has a row, and a layer that is new to the suite needs no more than one."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

import scratch_layers
from gradcheck.subjects import LayerSubject
from scratch_layers.module import Record
from verification import catalogue
from verification.cases import LayerCall
from verification.meta.harness import find_failures
from verification.properties import PROPERTIES, applicable
from verification.references.laws.law import Multilinear
from verification.references.row import Clause, Row, Trait
from verification.strategies.geometry import Geometry
from verification.subjects.entry import Entry

NO_LAYERS = {"Activation", "Module", "Parameter"}
"""Public names that are bases and parts of layers."""


def without_a_row(names, entries):
    """The names that no entry of the catalogue judges."""
    return set(names) - {entry.row.name for entry in entries}


def test_every_public_layer_has_a_row():
    public = set(scratch_layers.__all__) - NO_LAYERS
    assert without_a_row(public, catalogue.SHIPPED.values()) == set()
    assert without_a_row({*public, "Dropout"}, catalogue.SHIPPED.values()) == {"Dropout"}


def test_every_entry_is_found_by_its_name_and_builds():
    for name, entry in catalogue.SHIPPED.items():
        assert catalogue.find(name) is entry


def test_an_unknown_name_is_refused_with_those_that_are_known():
    with pytest.raises(KeyError, match=r"Conv3d.*scratch_layers\.Conv2d"):
        catalogue.find("scratch_layers.Conv3d")


# What it takes to add a layer: the layer, a strategy of its geometry, one row.


class Linear(scratch_layers.Module):
    """y = x W^T + b for every sample."""

    def __init__(self, inputs, outputs):
        self.weight = scratch_layers.Parameter(torch.zeros(outputs, inputs))
        self.bias = scratch_layers.Parameter(torch.zeros(outputs))

    def forward(self, input):
        x, w, b = input.detach(), self.weight.data.detach(), self.bias.data.detach()
        output = x @ w.T + b
        self._record = Record(output, input=x, weight=w, bias=b)
        return output

    def backward(self, grad_output):
        record, dy = self._recall(grad_output)
        self.weight.grad += dy.T @ record.tensors["input"]
        self.bias.grad += dy.sum(0)
        return dy @ record.tensors["weight"]

    def __repr__(self):
        outputs, inputs = self.weight.data.shape
        return f"Linear({inputs}, {outputs})"


@st.composite
def linear_maps(draw, limits):
    """Linear: one to four numbers in, one to four out."""
    samples = draw(st.sampled_from(limits.batches))
    inputs, outputs = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    layer = LayerCall.of("Linear", inputs=inputs, outputs=outputs)
    parameters = (("weight", (outputs, inputs)), ("bias", (outputs,)))
    return Geometry(layer, (("input", (samples, inputs)),), parameters)


LINEAR = Row(
    name="Linear",
    law=Multilinear(lambda arguments, tensors: F.linear(*tensors.values())),
    geometries=linear_maps,
    traits=frozenset(
        {Trait.LINEAR_IN_INPUT, Trait.LINEAR_IN_PARAMETERS, Trait.BATCHED, Trait.DIFFERENTIABLE}
    ),
)


def entry_of(layer_class):
    """The entry of a class that takes Linear's arguments."""

    def build(call, dtype, device):
        return LayerSubject(layer_class(**call.kwargs).to(device, dtype))

    return Entry(
        f"toy.{layer_class.__name__}",
        LINEAR,
        build,
        offers=frozenset({"accumulate", "zero"}),
        waivers={Clause.REFUSALS: "a toy checks nothing"},
    )


TOY = entry_of(Linear)


@pytest.mark.parametrize("name", [p.name for p in applicable(TOY)])
def test_a_new_layer_is_judged_by_every_property_that_applies(name):
    assert find_failures(TOY, name, examples=20) == []


def test_most_properties_apply_to_a_new_layer():
    assert len(applicable(TOY)) > len(PROPERTIES) / 2


class Untransposed(Linear):
    """The weight gradient is summed over the wrong axis where both fit."""

    def backward(self, grad_output):
        gradient = super().backward(grad_output)
        if self.weight.grad.shape[0] == self.weight.grad.shape[1]:
            self.weight.grad = self.weight.grad.T
        return gradient


def test_a_wrong_new_layer_is_caught():
    found = find_failures(entry_of(Untransposed), "gradients_match_reference")
    assert {failure.finding.tensor for failure in found} == {"weight gradient"}
