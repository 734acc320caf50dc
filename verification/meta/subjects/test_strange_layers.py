"""Layers that return something strange: every property answers with a verdict, none falls over."""

import hypothesis
import pytest

from scratch_layers import Conv2d, ReLU
from verification import catalogue
from verification.cases import SubjectSpec
from verification.meta.harness import broken
from verification.properties import applicable
from verification.running.campaign import hunt
from verification.subjects.resolve import foreign
from verification.trials.discrepancy import Discrepancy

SETTINGS = hypothesis.settings(
    max_examples=10, derandomize=True, database=None, phases=[hypothesis.Phase.generate]
)


class ReturnsNoGradient(ReLU):
    def backward(self, grad_output):
        super().backward(grad_output)


class ReturnsAList(ReLU):
    def backward(self, grad_output):
        return super().backward(grad_output).tolist()


class ReturnsATuple(ReLU):
    def forward(self, input):
        return (super().forward(input),)


class ReturnsTheSum(ReLU):
    def forward(self, input):
        return super().forward(input).sum()


class ReturnsIntegers(ReLU):
    def forward(self, input):
        return super().forward(input).long()


class RepeatsOneGradient(ReLU):
    def backward(self, grad_output):
        return super().backward(grad_output).sum().expand(grad_output.shape)


class FailsInBackward(ReLU):
    def backward(self, grad_output):
        raise KeyError("weight")


class LosesItsGradient(Conv2d):
    def backward(self, grad_output):
        dx = super().backward(grad_output)
        self.weight.grad = None
        return dx


@pytest.mark.parametrize(
    "layer",
    [
        ReturnsNoGradient,
        ReturnsAList,
        ReturnsATuple,
        ReturnsTheSum,
        ReturnsIntegers,
        RepeatsOneGradient,
        FailsInBackward,
        LosesItsGradient,
    ],
)
def test_every_property_has_a_verdict(layer):
    entry, failed = broken(layer.__base__.__name__, layer), set()
    with catalogue.added(entry):
        for prop in applicable(entry):
            try:
                hunt(entry, prop, settings=SETTINGS)
            except* Discrepancy:
                failed.add(prop.name)
    assert "results_are_exact_on_integers" in failed


@pytest.mark.parametrize(
    ("name", "like"),
    [("arrays:relu_forward,relu_backward", "ReLU"), ("functions:fused_linear", "Linear")],
)
def test_every_property_has_a_verdict_on_what_is_no_layer(name, like):
    entry, _ = foreign(SubjectSpec(f"verification.meta.wild.{name}", like))
    with catalogue.added(entry):
        for prop in applicable(entry):
            try:
                hunt(entry, prop, settings=SETTINGS)
            except* Discrepancy:
                pass
