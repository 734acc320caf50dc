"""The right convolutions as subjects, each judged by the row of Conv2d with its own law."""

from dataclasses import replace

from verification.meta.harness import stand_in
from verification.meta.right.convolution import ByColumns, ByLoops, ByStrides
from verification.meta.right.laws import Spectral, Winograd
from verification.meta.right.transforms import ByFourier, ByWinograd
from verification.references.row import Clause

SPREADS = {Clause.NON_FINITE: "a NaN reaches all that is transformed with it"}
OTHER_SUMS = {Clause.PURITY: "einsum and transforms are not among the shipped layers' operations"}


def _entry(layer, law=None, waivers=None):
    entry = stand_in("Conv2d", layer, f"right.{layer.__name__}")
    row = entry.row if law is None else replace(entry.row, law=law(entry.row.law))
    return replace(entry, row=row, waivers=OTHER_SUMS | (waivers or {}))


RIGHT = {
    entry.name: entry
    for entry in (
        _entry(ByLoops),
        _entry(ByColumns),
        _entry(ByStrides),
        _entry(ByFourier, Spectral, SPREADS),
        _entry(ByWinograd, Winograd, SPREADS),
    )
}
"""Every one of them by name."""
