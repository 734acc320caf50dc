"""The row of Sequential: a chain of layers is as right as its links allow."""

from torch import nn

from verification.cases import LayerCall
from verification.references.laws.law import Chain, Law
from verification.references.row import Clause, Refusal, Row, Trait
from verification.references.rows.activations import RELU, SIGMOID
from verification.references.rows.convolution import CONV2D, CONV_TRANSPOSE2D
from verification.references.rows.upsampling import NEAREST_UPSAMPLING, UPSAMPLING
from verification.strategies import refusals
from verification.strategies.drawing import SearchStrategy, st
from verification.strategies.geometries import containers


def law_of(call: LayerCall) -> Law:
    """The law of a layer in a chain, by its kind's name."""
    return SEQUENTIAL.law if call.name == SEQUENTIAL.name else _LAWS[call.name]


_LINKS = (CONV2D, CONV_TRANSPOSE2D, NEAREST_UPSAMPLING, UPSAMPLING, RELU, SIGMOID)
_LAWS = {row.name: row.law for row in _LINKS}


def _refusals() -> SearchStrategy[Refusal]:
    own = (row.refusals for row in _LINKS if row.refusals is not None)
    inside = st.one_of([refused() for refused in own]).map(refusals.inside)
    return st.integers(0, 7).flatmap(lambda n: inside if n else refusals.the_same_twice())


SEQUENTIAL = Row(
    name="Sequential",
    law=Chain(law_of),
    geometries=containers.sequentials,
    traits=frozenset({Trait.BATCHED, Trait.DIFFERENTIABLE, Trait.RESIZABLE}),
    refusals=_refusals,
    twin=nn.Sequential,
    # What its links do not keep, a chain of them does not.
    departures={
        **CONV_TRANSPOSE2D.departures,
        **SIGMOID.departures,
        Clause.FRESH_OUTPUTS: "an empty Sequential returns its input, and activations keep"
        " their output",
    },
)

ROWS = (SEQUENTIAL,)
