"""The row of dropout, under a mask that is known."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from gradcheck.subjects import Subject
from verification.cases import LayerCall
from verification.references.laws.law import INPUT, Computed
from verification.references.laws.running_error import Number
from verification.references.row import Clause, Nothing, Row, Trait
from verification.strategies.geometries import dropout
from verification.subjects.masked import Masked, wanted_mask


def _probability(arguments: Mapping[str, Any]) -> float:
    """How many numbers are dropped: none outside of training."""
    return float(arguments["p"]) if arguments["training"] else 0.0


def _dropped(arguments: Mapping[str, Any], tensors: Mapping[str, Number]) -> Number:
    """The input times mask / (1 - p), and zeros for p = 1."""
    x, probability = tensors[INPUT], _probability(arguments)
    mask = wanted_mask(tuple(x.shape), probability).double()
    return x * mask if probability in (0, 1) else (1 / (1 - probability)) * (x * mask)


def _masked(call: LayerCall, make: Callable[[], Subject]) -> Subject:
    return Masked(make(), _probability(call.kwargs))


def _twin(p: float = 0.5, training: bool = True) -> nn.Module:
    """torch.nn.Dropout in the mode that `training` says."""
    return nn.Dropout(p).train(training)


DROPOUT = Row(
    name="Dropout",
    law=Computed(_dropped),
    geometries=dropout.dropouts,
    traits=frozenset({Trait.BATCHED, Trait.LINEAR_IN_INPUT, Trait.DIFFERENTIABLE}),
    # The others are about one call of the layer, and here each result is put together from many.
    clauses=frozenset({Clause.EMPTY_BATCH, Clause.SIXTEEN_BITS, Clause.MEANS_OF_NOTHING}),
    twin=_twin,
    adapter=_masked,
    # 0 / 0, as the formula has it.
    nothing=Nothing("p", functools.partial(dropout.dropouts, everything=True)),
    rests={"p": "the share that is kept"},
)

ROWS = (DROPOUT,)
