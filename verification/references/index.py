"""The index of the rows: every kind of layer that the suite knows, by name. A new family of rows is
one more module here.
"""

from verification.references.row import Row
from verification.references.rows import (
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
