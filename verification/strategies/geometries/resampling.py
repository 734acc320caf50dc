"""Geometry of interpolation: the size of the output, or a scale factor.

Linear interpolation is for one to three axes. The nearest neighbour is drawn over two: over one and
three torch's own forward and backward do not agree on it (docs/findings.md).
"""

from __future__ import annotations

from typing import Any

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometries.images import draw_enlarged
from verification.strategies.geometries.windows import draw_image
from verification.strategies.geometry import Geometry, Limits, choices, numbers, per_axis_amounts

LINEAR_MODES = {"linear": 1, "bilinear": 2, "trilinear": 3}
"""torch's names of linear interpolation, with the number of axes that each is for."""


@st.composite
def interpolations(draw: DrawFn, limits: Limits, name: str, modes: tuple[str, ...]) -> Geometry:
    """A mode, an image of as many axes as it is for, and what becomes of its size.

    Where `size` is given `scale_factor` is None, and the other way round; `align_corners` is an
    argument of linear interpolation alone, and None elsewhere.
    """
    mode = draw(limits.choose("mode", choices(modes)))
    dims = LINEAR_MODES.get(mode, 2)
    batch, channels = draw(choices(limits.batches)), draw(numbers(1, 3))
    room = limits.elements // (max(1, batch) * channels)
    arguments: dict[str, Any] = {"size": None, "scale_factor": None, "mode": mode}
    wants_size = limits.choose("scale_factor", choices((1, None, None)))
    if draw(wants_size) is None:
        image = draw_image(draw, limits, batch, channels, (1,) * dims, (2,) * dims)
        arguments["size"] = draw(limits.choose("size", per_axis_amounts(1, 9, dims)))
    else:
        arguments["scale_factor"], sizes = draw_enlarged(draw, limits, room, dims)
        image = (batch, channels, *sizes)
    if mode in LINEAR_MODES:
        arguments["align_corners"] = draw(limits.choose("align_corners", choices((False, True))))
    return Geometry(LayerCall.of(name, **arguments), (("input", image),))
