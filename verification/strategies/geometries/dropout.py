"""Geometry of dropout."""

from __future__ import annotations

from dataclasses import replace

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometry import Geometry, Limits, choices, draw_shape

PROBABILITIES = (0.5, 0.25, 0.75, 0.3, 0.0)
"""How many numbers are dropped; by 0.5 and 0.75 integers are scaled exactly."""

EASED = 12
"""How many times smaller the tensors are: each result is put together from many runs."""


@st.composite
def dropouts(draw: DrawFn, limits: Limits, everything: bool = False) -> Geometry:
    """Dropout in training and outside of it, on a tensor of any shape; or of everything."""
    layer = LayerCall.of(
        "Dropout",
        p=1.0 if everything else draw(limits.choose("p", choices(PROBABILITIES))),
        training=everything or draw(limits.choose("training", choices((True, True, True, False)))),
    )
    small = replace(limits, elements=max(4, limits.elements // EASED))
    return Geometry(layer, (("input", draw_shape(draw, small)),))
