"""Wrong layers, each one small edit of a right one, and the properties that must catch them."""

from verification.meta.faults import (  # noqa: F401
    batches,
    convolution,
    descent,
    elementwise,
    hidden,
    memory,
    place,
    protocol,
    purity,
    refusals,
    special,
    state,
)
from verification.meta.faults.fault import FAULTS, Fault, fault

__all__ = ["FAULTS", "Fault", "fault"]
