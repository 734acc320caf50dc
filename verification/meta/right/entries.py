"""The right layers as subjects: the row of the kind, with a law of its own where it needs one."""

from dataclasses import replace

from verification.meta.harness import stand_in
from verification.meta.right.convolution import ByColumns, ByStrides
from verification.meta.right.laws import Spectral, Winograd
from verification.meta.right.looped import ByLoops, NearestByLoops
from verification.meta.right.transforms import ByFourier, ByWinograd
from verification.references.row import Clause

SPREADS = {Clause.NON_FINITE: "a NaN reaches all that is transformed with it"}
OTHER_SUMS = {Clause.PURITY: "einsum and transforms are not among the shipped layers' operations"}


def _entry(layer, law=None, waivers=None, kind="Conv2d"):
    entry = stand_in(kind, layer, f"right.{layer.__name__}")
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
        _entry(NearestByLoops, kind="NearestUpsampling"),
    )
}
"""Every one of them by name."""
