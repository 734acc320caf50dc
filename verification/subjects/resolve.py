"""From a subject's name to its Entry: a name of the catalogue, or a layer that the user allowed."""

from collections.abc import Collection

from verification import catalogue
from verification.cases import SubjectSpec
from verification.subjects.entry import Entry
from verification.subjects.foreign import SubjectError, foreign_entry, load


def resolve(spec: SubjectSpec, allowed: Collection[str] = ()) -> Entry:
    """The entry that a Case names.

    Only names of the catalogue resolve by default: a case file may come from anywhere, and building
    a layer runs its code.

    Raises:
        SubjectError: the name is neither of the catalogue nor allowed, or it cannot be imported.
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
    return foreign(spec)


def foreign(spec: SubjectSpec) -> Entry:
    """The entry of a subject outside the catalogue. Runs its code.

    Raises:
        SubjectError: it cannot be imported, built, or judged as the spec says.
    """
    return foreign_entry(load(spec.name), spec.like, name=spec.name)
