"""The wrong layers that power is measured on, from both tables, under one roof."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from verification.cases import LayerCall
from verification.meta.faults import FAULTS
from verification.meta.harness import Found, first_failure
from verification.meta.wrong_twins import WRONG
from verification.properties import PROPERTIES, applicable
from verification.references.index import ROWS
from verification.references.row import Row
from verification.references.torch_nn import REFERENCES
from verification.subjects.entry import Entry


@dataclass(frozen=True)
class Wrong:
    """A wrong layer, the properties that must catch it, and the rows that it replaces."""

    name: str
    kind: str
    entry: Entry
    caught_by: tuple[str, ...]
    shown: str = ""
    seen: str = ""
    hidden: bool = False
    rows: Mapping[str, Row] = field(default_factory=dict)
    layer: Callable[..., Any] | None = None

    def first_failure(self, name: str, examples: int, seed: int | None) -> Found | None:
        """The first failure of a property in so many examples."""
        with mock.patch.dict(ROWS, self.rows):
            return first_failure(self.entry, name, examples=examples, seed=seed)

    def applicable(self) -> list[str]:
        """The names of all properties that apply."""
        return [prop.name for prop in applicable(self.entry)]

    def build(self, call: LayerCall, dtype: Any, device: Any) -> Any:
        """The wrong layer under the subject protocol."""
        with mock.patch.dict(ROWS, self.rows):
            return self.entry.build(call, dtype, device)


def every_fault() -> Iterator[Wrong]:
    """The faults of the shipped kinds, then the wrong twins of all rows."""
    for fault in FAULTS.values():
        yield Wrong(
            fault.name,
            fault.kind,
            fault.entry,
            fault.caught_by,
            shown=fault.shown,
            seen=fault.seen,
            hidden=fault.layer.__module__.endswith(".hidden"),
            layer=fault.layer,
        )
    entries = {entry.row.name: entry for entry in REFERENCES.values()}
    for wrong in WRONG:
        row = replace(ROWS[wrong.row], twin=wrong.twin)
        entry = replace(entries[wrong.row], name=f"broken.{wrong}")
        names = tuple(name for name in wrong.caught_by if not PROPERTIES[name].missing(entry))
        yield Wrong(f"{wrong}", wrong.row, entry, names, rows={wrong.row: row})
