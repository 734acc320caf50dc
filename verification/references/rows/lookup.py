"""The row of a table that is looked up by index."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from verification.references.laws.law import INPUT, Tensors
from verification.references.laws.selecting import Selecting
from verification.references.row import Clause, Row, Trait
from verification.strategies.geometries import lookup


def _indices(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    return tensors[INPUT].long()


def _rows(arguments: Mapping[str, Any], tensors: Tensors, indices: Tensor) -> Tensor:
    """The rows of the table; the one that stands for padding is a constant."""
    table, padding = tensors["weight"], arguments["padding_idx"]
    if padding is not None:
        kept = torch.arange(len(table)) != padding % len(table)
        table = torch.where(kept[:, None], table, table.detach())
    return table[indices]


EMBEDDING = Row(
    name="Embedding",
    law=Selecting(_indices, _rows, choosing=frozenset({INPUT})),
    geometries=lookup.embeddings,
    traits=frozenset({Trait.LINEAR_IN_PARAMETERS, Trait.BATCHED, Trait.DIFFERENTIABLE}),
    # An index is a finite number.
    clauses=frozenset(Clause) - {Clause.NON_FINITE},
    twin=nn.Embedding,
)

ROWS = (EMBEDDING,)
