"""The bank: small functions, right and wrong, each with its description and the verdict due."""

from verification.meta.functions.forms import FORMS
from verification.meta.functions.innocent import INNOCENT
from verification.meta.functions.intended import INTENDED
from verification.meta.functions.judged import Judged
from verification.meta.functions.losses import LOSSES
from verification.meta.functions.orders import ORDERS
from verification.meta.functions.structure import STRUCTURE

BANK: list[Judged] = [*LOSSES, *STRUCTURE, *ORDERS, *INNOCENT, *INTENDED, *FORMS]
"""Every function of the bank."""

__all__ = ["BANK", "Judged"]
