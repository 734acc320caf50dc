"""The index of the rows: every kind of layer that the suite knows, by name. A new family of rows is
one more module here.
"""

from verification.references import (
    activations,
    attention,
    containers,
    convolution,
    dropout,
    linear,
    lookup,
    losses,
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
    optimizers,
    pooling,
    rearranging,
    resampling,
    attention,
    recurrent,
    lookup,
    dropout,
)

ROWS: dict[str, Row] = {row.name: row for family in _FAMILIES for row in family.ROWS}
"""Every row by the name of its kind."""
