"""An Entry: a subject with its name, the row that judges it, and the way to build one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from gradcheck.subjects import Subject
from verification.cases import LayerCall, SubjectSpec
from verification.references.row import Clause, Row

Build = Callable[[LayerCall, torch.dtype, torch.device], Subject]

TRUTH = "truth"
"""A row with a law knows the truth; a property that needs it says so by this name."""

DECLARED_REFUSALS = "declared refusals"
"""A row may list uses that must be refused; a property that needs the list says so by this name."""


@dataclass(frozen=True)
class Entry:
    """One subject under judgement.

    offers: what its adapter offers beyond forward and vjp. waivers: the clauses it does not claim,
    each with a reason. like, digest: of a layer outside the catalogue, the kind that judges it and
    the SHA-256 of the file that holds it.
    """

    name: str
    row: Row
    build: Build
    offers: frozenset[str] = frozenset()
    waivers: dict[Clause, str] = field(default_factory=dict)
    like: str | None = None
    digest: str | None = None

    @property
    def have(self) -> frozenset[str]:
        """Everything that a property may need, as far as this subject and its row have it."""
        clauses = self.row.clauses - self.waivers.keys()
        declared = {DECLARED_REFUSALS} if self.row.refusals is not None else set()
        return frozenset({TRUTH, *self.row.traits, *clauses, *self.offers, *declared})

    @property
    def spec(self) -> SubjectSpec:
        """The entry's name as it stands in a Case."""
        return SubjectSpec(self.name, self.like, self.digest, tuple(sorted(self.waivers)))
