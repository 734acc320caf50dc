"""Wrong layers, each one small edit of a right one, and the properties that must catch them."""

from verification.meta.faults import protocol  # noqa: F401
from verification.meta.faults.fault import FAULTS, Fault, fault

__all__ = ["FAULTS", "Fault", "fault"]
