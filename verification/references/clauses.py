"""The clauses of the layer contract: what is asked of a layer beyond being right, each by a name
that a subject can waive.
"""

from enum import StrEnum


class Clause(StrEnum):
    """What the layer contract asks beyond being right on ordinary cases.

    A waiver takes a clause from a subject: properties that need it do not apply, and strategies
    leave its cases out, so that no other property meets them.
    """

    EMPTY_BATCH = "empty batch"
    ACCUMULATION = "accumulation"
    FRESH_OUTPUTS = "fresh outputs"
    PURITY = "purity"
    REFUSALS = "refusals"
    STATE = "state_dict"
    NON_FINITE = "NaN and infinities"
    SIXTEEN_BITS = "16-bit dtypes"
    ORDER_OF_CALLS = "order of calls"
    AXIS_ORDER = "memory that holds the axes in another order"
    PARAMETER_GAPS = "parameters with gaps in memory"
    STRIDED_SAME = "padding 'same' with a stride"
    LARGE_NEAREST = "nearest upsampling to more than 128 rows and columns together"
    SMALL_IMAGE = "an image smaller than the kernel, which padding makes large enough"
    SATURATION = "derivative where the function saturates"
    EQUAL_MAXIMA = "equal maxima"
    MEANS_OF_NOTHING = "means of nothing"
    WIDE_PADDING = "transposed convolution with more padding than stride"
    CHANGING_RATE = "learning rate that changes between steps"


DECIDING = frozenset({Clause.EQUAL_MAXIMA})
"""Clauses that count for being right too, unless they are waived: their cases are ordinary ones."""
