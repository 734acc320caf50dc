"""Wrong twins: torch's own layers, each with one small edit that its row must find."""

from verification.meta.wrong_twins.functions import FUNCTIONS
from verification.meta.wrong_twins.layers import LAYERS
from verification.meta.wrong_twins.wrong import PARITY, Wrong

WRONG = (*LAYERS, *FUNCTIONS)

__all__ = ["PARITY", "WRONG", "Wrong"]
