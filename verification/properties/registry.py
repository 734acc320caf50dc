"""The registry: a property states what it needs and which cases it wants, and so chooses its layers
by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from verification.strategies.cases import CaseStrategy
from verification.subjects.entry import Entry
from verification.trials.trial import Trial

Check = Callable[[Trial], None]


class Family(StrEnum):
    """The families of DESIGN: parity, exactness, ... in the order in which a report shows them."""

    PARITY = "parity"
    EXACTNESS = "exactness"
    GRADIENTS = "gradients"
    ADJOINT = "adjoint"
    LAYOUT = "layout"
    ISOLATION = "isolation"
    PROTOCOL = "protocol"
    BATCHING = "batching"
    REPEATABILITY = "repeatability"
    PLACE = "type and place"
    SPECIAL = "special values"
    REFUSALS = "refusals"
    PURITY = "purity"
    STATE = "state"


class Decides(StrEnum):
    """What a failure means for the verdict: correctness always decides, contract for shipped
    layers.
    """

    CORRECTNESS = "correctness"
    CONTRACT = "contract"


OF_A_LAW = 0.25
"""The share of a law that must hold beside parity with the truth. The bounds of parity imply it,
and rare cases are parity's; it is asked because it shares no code with the truth, which may be
wrong as the layer is, and that shows in any case.
"""


@dataclass(frozen=True)
class Property:
    """One thing that must hold. `sentence` says it; `needs` are names that an Entry must have.

    `share` multiplies the examples of the profile: more for a cheap property whose cases are many,
    fewer for one that wants no rare case.
    """

    name: str
    family: Family
    sentence: str
    check: Check
    needs: frozenset[str]
    cases: CaseStrategy
    decides: Decides
    share: float = 1

    def missing(self, entry: Entry) -> tuple[str, ...]:
        """What the entry lacks for this property, in order; empty if the property applies."""
        return tuple(sorted(self.needs - entry.have))


PROPERTIES: dict[str, Property] = {}
"""Every property by name."""


def property_of(
    family: Family,
    *,
    cases: CaseStrategy,
    needs: Iterable[str] = (),
    decides: Decides = Decides.CORRECTNESS,
    share: float = 1,
) -> Callable[[Check], Check]:
    """Register check_NAME as the property NAME; its docstring's first paragraph says what holds."""

    def register(check: Check) -> Check:
        name = check.__name__.removeprefix("check_")
        sentence = " ".join((check.__doc__ or "").split("\n\n")[0].split())
        PROPERTIES[name] = Property(
            name, family, sentence, check, frozenset(needs), cases, decides, share
        )
        return check

    return register


def in_order(properties: Iterable[Property]) -> list[Property]:
    """Sorted by family, as a report shows them."""
    families = list(Family)
    return sorted(properties, key=lambda prop: families.index(prop.family))


def applicable(entry: Entry) -> list[Property]:
    """The properties whose needs the entry meets, in the order of the families."""
    return in_order(prop for prop in PROPERTIES.values() if not prop.missing(entry))
