"""The row of Sequential: a chain of layers is as right as its links allow."""

from verification.cases import LayerCall
from verification.references.activations import RELU, SIGMOID
from verification.references.convolution import CONV2D, CONV_TRANSPOSE2D
from verification.references.laws import Chain, Law
from verification.references.row import Row, Trait
from verification.references.upsampling import NEAREST_UPSAMPLING, UPSAMPLING
from verification.strategies import containers


def law_of(call: LayerCall) -> Law:
    """The law of a layer in a chain, by its kind's name."""
    return SEQUENTIAL.law if call.name == SEQUENTIAL.name else _LAWS[call.name]


_LAWS = {
    row.name: row.law
    for row in (CONV2D, CONV_TRANSPOSE2D, NEAREST_UPSAMPLING, UPSAMPLING, RELU, SIGMOID)
}

SEQUENTIAL = Row(
    name="Sequential",
    law=Chain(law_of),
    geometries=containers.sequentials,
    traits=frozenset({Trait.BATCHED, Trait.DIFFERENTIABLE}),
)
