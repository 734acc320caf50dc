"""Replay a case file: check every name in it, find the subject, run the case. Draws nothing.

A layer outside the catalogue runs in a child process, as it did when the case was found.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import torch

from verification import catalogue
from verification.cases import SAME, Case, LayerCall
from verification.cases.case_file import CaseFile, CaseFileError
from verification.properties import PROPERTIES
from verification.running.selection import absent
from verification.running.supervisor import ChildError, Supervisor
from verification.strategies.tensors import LAYOUTS
from verification.subjects.entry import Entry
from verification.subjects.loading import SubjectError
from verification.subjects.resolve import foreign, known
from verification.trials.materialise import FAMILIES
from verification.trials.outcome import Died, NotExercised, Outcome
from verification.trials.run_case import Run, run_case


class Replayed(NamedTuple):
    """How a replay ended, and whether the file that holds the layer is another than when the case
    was written.
    """

    outcome: Outcome
    changed: bool = False


def replay(file: CaseFile, allowed: Collection[str] = (), *, supervised: bool = True) -> Replayed:
    """Run the case of a file. `allowed` names the layers outside the catalogue that may be run;
    unless `supervised`, they run in this process, where a debugger sees them.

    Raises:
        CaseFileError: the case names something unknown, or its parts do not fit together.
        SubjectError: its subject is not of the catalogue and not allowed, or cannot be imported.
    """
    case = file.case
    entry = known(case, allowed)
    try:
        if entry is not None:
            return Replayed(_run_here(case, entry))
        if not supervised:
            entry, _ = foreign(case.subject)
            return Replayed(_run_here(case, entry), _changed(case, entry))
        with Supervisor(case.subject) as child:
            return Replayed(_run(case, child.entry, child.run), _changed(case, child.entry))
    except (CaseFileError, SubjectError):
        raise
    except ChildError as error:
        raise CaseFileError(f"the case cannot be made real: {error}") from error
    except Exception as error:
        # What a layer raises is a Discrepancy; this comes from making the case real.
        raise CaseFileError(
            f"the case cannot be made real: {type(error).__name__}: {error}"
        ) from error


def _run_here(case: Case, entry: Entry) -> Outcome:
    with catalogue.added(entry):
        return _run(case, entry, run_case)


def _run(case: Case, entry: Entry, run: Run) -> Outcome:
    require_known_names(case, entry.row.name)
    reason = absent(torch.device(case.device).type)
    if reason is not None:
        return NotExercised(reason)
    outcome = run(case)
    return outcome.discrepancy(case) if isinstance(outcome, Died) else outcome


def _changed(case: Case, entry: Entry) -> bool:
    return case.subject.digest not in (None, entry.spec.digest)


def require_known_names(case: Case, kind: str) -> None:
    """Raise CaseFileError unless every name of the case means something here. Layers are built by
    name: only known kinds.
    """
    kinds = {entry.row.name for entry in catalogue.SHIPPED.values()} | {kind}
    _require_layers(case.layer, kinds)
    _require("property", case.property, PROPERTIES)
    for spec in [*case.tensors, *(spec for call in case.calls for spec in call.tensors)]:
        _require("layout", spec.layout, LAYOUTS)
        _require("value family", spec.values.family, FAMILIES)
        if spec.dtype is not None and not isinstance(getattr(torch, spec.dtype, None), torch.dtype):
            raise CaseFileError(f"unknown dtype {spec.dtype!r} of tensor {spec.name!r}")
    try:
        torch.device(case.device)
    except RuntimeError:
        raise CaseFileError(f"unknown device {case.device!r}: cpu or cuda, say") from None


def _require_layers(layer: LayerCall, kinds: set[str]) -> None:
    _require("layer", layer.name, kinds)
    for place, child in enumerate(layer.children):
        if child.name != SAME:
            _require_layers(child, kinds)
        elif child.arguments not in [(("place", earlier),) for earlier in range(place)]:
            raise CaseFileError(
                f"{child} inside {layer.name}: its place must be that of a layer before it,"
                f" of which there are {place}, counted from 0"
            )


def _require(what: str, name: str, known: Iterable[str]) -> None:
    known = sorted(known)
    if name not in known:
        raise CaseFileError(f"unknown {what} {name!r}: this version knows {', '.join(known)}")
