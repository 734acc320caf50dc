"""The index of the rows: every kind of layer that the suite knows, by name. A new family of rows is
one more module here.
"""

from verification.references import (
    activations,
    attention,
    classification,
    containers,
    convolution,
    dropout,
    linear,
    lookup,
    losses,
    normalization,
    optimizers,
    pooling,
    rearranging,
    recurrent,
    resampling,
    upsampling,
)
from verification.references.row import Row

_FAMILIES = (
    linear,
    convolution,
    upsampling,
    activations,
    containers,
    losses,
    classification,
    normalization,
    optimizers,
    pooling,
    rearranging,
    resampling,
    lookup,
    attention,
    recurrent,
    dropout,
)

ROWS: dict[str, Row] = {row.name: row for family in _FAMILIES for row in family.ROWS}
"""Every row by the name of its kind."""
