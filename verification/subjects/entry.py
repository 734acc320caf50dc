"""An Entry: a subject with its name, the row that judges it, and the way to build one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from gradcheck.subjects import Subject
from verification.cases import LayerCall, SubjectSpec
from verification.references.row import Clause, Row

Build = Callable[[LayerCall, torch.dtype, torch.device], Subject]


TRUTH = "truth"
"""A row with a law knows the truth; a property that needs it says so by this name."""

DESCRIBED = "description"
"""A row of described inputs knows no truth: the subject's own run in float64 stands in for it."""

LINEAR_BACKWARD = "linear backward"
"""Every backward is linear in its cotangent, unless its user declares another rule."""

KEEPS_TO_VALUES = "results that follow values alone"
"""A function that draws in the order of memory gives other results in another layout."""

REFERENCE = "reference"
"""Its user gave a described function another code for the same map."""

SAMPLES = "samples"
"""Its user said which extent of a described function counts samples that do not see each other."""

OPERATOR = "custom operator"
"""A described function that is registered with torch.library."""

MODULE = "module"
"""A described function that is a module, or the class of one."""

DECLARED_REFUSALS = "declared refusals"
"""A row may list uses that must be refused; a property that needs the list says so by this name."""


@dataclass(frozen=True)
class Entry:
    """One subject under judgement.

    offers: what its adapter offers beyond forward and vjp. waivers: the clauses it does not claim,
    each with a reason. asked: how a subject outside the catalogue is found, built and judged.
    """

    name: str
    row: Row
    build: Build
    offers: frozenset[str] = frozenset()
    waivers: dict[Clause, str] = field(default_factory=dict)
    asked: SubjectSpec | None = None

    @property
    def have(self) -> frozenset[str]:
        """Everything that a property may need, as far as this subject and its row have it."""
        without = set() if self.row.nothing else {Clause.MEANS_OF_NOTHING}
        clauses = self.row.clauses - self.waivers.keys() - without
        declared = {DECLARED_REFUSALS} if self.row.refusals is not None else set()
        # Every kind in the rows keeps to values; of a function it is an offer, found by probing.
        known = {DESCRIBED} if self.row.described else {TRUTH, KEEPS_TO_VALUES}
        return frozenset(
            {*known, *self._linear, *self.row.traits, *clauses, *self.offers, *declared}
        )

    @property
    def _linear(self) -> tuple[str, ...]:
        """Whether the backward is linear in its cotangent; only a declared rule lets it be else."""
        return () if "vjp" in dict(self.spec.declared) else (LINEAR_BACKWARD,)

    @property
    def foreign(self) -> bool:
        """Whether the subject is somebody's own code, and none of the catalogue."""
        return self.asked is not None

    @property
    def spec(self) -> SubjectSpec:
        """The entry's name as it stands in a Case."""
        asked = self.asked or SubjectSpec(self.name)
        return replace(asked, waivers=tuple(sorted(self.waivers)))


def adapted(row: Row, build: Build) -> Build:
    """The same way to build a subject, which is then judged through the adapter of its row."""
    adapter = row.adapter
    if adapter is None:
        return build
    return lambda call, dtype, device: adapter(call, lambda: build(call, dtype, device))
