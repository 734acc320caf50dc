"""From a subject's name to its Entry: a name of the catalogue, or a layer that the user allowed."""

from collections.abc import Collection

from verification import catalogue
from verification.cases import SubjectSpec
from verification.subjects.entry import Entry
from verification.subjects.foreign import foreign_entry
from verification.subjects.loading import SubjectError, load
from verification.subjects.probed import Probed
from verification.trials.guards import globals_restored


def known(spec: SubjectSpec, allowed: Collection[str] = ()) -> Entry | None:
    """The entry that a Case names; None for a subject outside the catalogue that was allowed.

    Only names of the catalogue resolve by default: a case file may come from anywhere, and building
    a layer runs its code.

    Raises:
        SubjectError: the name is neither of the catalogue nor allowed.
    """
    try:
        return catalogue.find(spec.name)
    except KeyError as unknown:
        if ":" not in spec.name or not spec.foreign:
            raise SubjectError(str(unknown.args[0])) from None
    if spec.name not in allowed:
        raise SubjectError(
            f"the case runs code outside the catalogue, {spec.name}:"
            f" if you trust it, allow it with --allow-layer {spec.name}"
        )
    return None


def foreign(spec: SubjectSpec, *, careful: bool = False) -> tuple[Entry, Probed]:
    """The entry of a subject outside the catalogue, and what was found out about it. Runs its code;
    what that changed of torch's global state is put back.

    Raises:
        SubjectError: it cannot be imported, built, or judged as the spec says.
    """
    with globals_restored():
        return foreign_entry(load(spec.name), spec, careful=careful)
