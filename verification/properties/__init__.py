"""What must hold: plain functions check_*(trial), one family a file. Importing this package
registers them all.
"""

from verification.properties import (
    adjoint,
    batching,
    building,
    derivatives,
    exactness,
    gradients,
    graphs,
    isolation,
    layout,
    modes,
    parity,
    place,
    protocol,
    purity,
    refusals,
    repeatability,
    special,
    state,
)
from verification.properties.registry import PROPERTIES, Property, applicable

__all__ = [
    "PROPERTIES",
    "Property",
    "adjoint",
    "applicable",
    "batching",
    "building",
    "derivatives",
    "exactness",
    "gradients",
    "graphs",
    "isolation",
    "layout",
    "modes",
    "parity",
    "place",
    "protocol",
    "purity",
    "refusals",
    "repeatability",
    "special",
    "state",
]
