"""A subject that the catalogue does not know, judged by the row of its kind: its entry where its
code may run, and its entry where that runs elsewhere.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import NoReturn

import torch

from verification.cases import LayerCall, SubjectSpec
from verification.references.clauses import Clause
from verification.references.index import ROWS
from verification.references.row import Row
from verification.subjects.against import Against, require_shapes
from verification.subjects.described.by_description import described_elsewhere, described_entry
from verification.subjects.driving.drivers import Driver
from verification.subjects.driving.told import Adapter
from verification.subjects.entry import Build, Entry
from verification.subjects.loading import Loaded, SubjectError, digest_of, load, source_of
from verification.subjects.probing.probe import probe
from verification.subjects.probing.probed import Probed


def kind_named(like: object) -> Row:
    """The row of a kind: by its name, alone or after its module ("Conv2d", "torch.nn.Conv2d"), or
    by torch's own class.

    Raises:
        SubjectError: no row has that name.
    """
    wanted = like if isinstance(like, str) else getattr(like, "__name__", repr(like))
    place, _, name = wanted.rpartition(".")
    twin = getattr({"torch.nn": torch.nn, "torch.optim": torch.optim}.get(place), name, like)
    rows = [row for row in ROWS.values() if row.twin is twin]
    if rows:
        # torch.optim.SGD departs from the rule of the shipped SGD, and not from its own.
        return min(rows, key=lambda row: len(row.departures))
    if name in ROWS:
        return ROWS[name]
    plain = {known.lower(): known for known in ROWS}
    near = [plain[each] for each in difflib.get_close_matches(name.lower(), plain)]
    meant = f"do you mean {' or '.join(near)}? All: " if near else "choose from "
    raise SubjectError(f"no row judges layers like {wanted!r}: {meant}{', '.join(ROWS)}")


def foreign_entry(
    loaded: Loaded, spec: SubjectSpec, *, careful: bool = False
) -> tuple[Entry, Probed]:
    """The entry of a subject at hand, and what was found out about it, unless the spec says that
    from before. Runs its code; builds it only where it is to be probed `careful`ly.

    Raises:
        SubjectError: no row has the kind's name, or the subject cannot be built or driven.
    """
    if spec.inputs:
        return described_entry(loaded, spec)
    kind, told = kind_named(spec.like), Adapter.of(spec.adapter)
    if spec.found:
        found = replace(Probed.of(spec.found), digest=digest_of(loaded), source=source_of(loaded))
        if told.against is not None:
            old = Driver.along(found.against, load(told.against), kind, Adapter())
            kind = replace(kind, law=Against(kind.law, old))
        return _entry(spec, kind, found, Driver.along(found.driven, loaded, kind, told)), found
    common = Probed()
    if told.against is not None:
        old, common = probe(load(told.against), kind, Adapter())
        require_shapes(kind, old, common)
        kind = replace(kind, law=Against(kind.law, old))
    driver, found = probe(loaded, kind, told, common, careful=careful)
    found = replace(found, against=common.driven)
    return _entry(spec, kind, found, driver), found


def entry_elsewhere(spec: SubjectSpec, found: Probed) -> Entry:
    """The entry of a subject that only another process may build: its cases can be drawn and its
    tensors made, without a line of its code.
    """
    if spec.inputs:
        return described_elsewhere(spec, found)
    return _entry(spec, kind_named(spec.like), found, _not_here)


def _entry(spec: SubjectSpec, kind: Row, found: Probed, build: Build) -> Entry:
    asked = replace(spec, like=kind.name, digest=found.digest, found=found.told)
    waivers = {Clause(name): "waived by its user" for name in spec.waivers}
    return Entry(spec.name, found.row(kind), build, frozenset(found.offers), waivers, asked)


def _not_here(call: LayerCall, dtype: torch.dtype, device: torch.device) -> NoReturn:
    raise RuntimeError(f"{call} is built in a child process only")
