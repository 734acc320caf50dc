"""Right layers of other makes: convolutions by five roads, none of them the shipped one, and
nearest upsampling by loops.

Each comes with the rounding error of its own algorithm, derived and not fitted; the suite must
leave all of them alone.
"""

from verification.meta.right.entries import RIGHT

__all__ = ["RIGHT"]
