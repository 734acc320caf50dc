"""From a subject's name to its Entry: a name of the catalogue, or a layer that the user allowed."""

from collections.abc import Collection

from verification import catalogue
from verification.cases import Case, SubjectSpec
from verification.strategies.descriptions.drawn import own_domains
from verification.subjects.driving.told import Adapter
from verification.subjects.entry import Entry
from verification.subjects.foreign import foreign_entry
from verification.subjects.loading import SubjectError, load
from verification.subjects.probing.probed import Probed
from verification.trials.guards import globals_restored

DECLARED = ("derivative_of", "vjp", "stochastic", "reference")
"""The declarations that name a function."""


def known(case: Case, allowed: Collection[str] = ()) -> Entry | None:
    """The entry that a Case names; None for a subject outside the catalogue that was allowed.

    Only names of the catalogue resolve by default: a case file may come from anywhere, and building
    a layer runs its code.

    Raises:
        SubjectError: a name is neither of the catalogue nor allowed.
    """
    entry, spec = None, case.subject
    try:
        entry = catalogue.find(spec.name)
    except KeyError as unknown:
        if ":" not in spec.name or not spec.foreign:
            raise SubjectError(str(unknown.args[0])) from None
    new = [name for name in code_named(case) if name not in allowed]
    if new:
        raise SubjectError(
            f"the case runs code outside the catalogue, {', '.join(new)}: if you trust it, allow it"
            f" with {' '.join(f'--allow-layer {name}' for name in new)}"
        )
    return entry


def code_named(case: Case) -> list[str]:
    """The names of all code outside the catalogue that a case runs: its subject, what that is
    judged against, what its user declared of it, and domains of a user's own.
    """
    spec = case.subject
    told, declared = Adapter.of(spec.adapter) if spec.like else Adapter(), dict(spec.declared)
    found = [spec.name] if spec.foreign else []
    found += [told.against] if told.against is not None else []
    found += [str(declared[name]) for name in DECLARED if name in declared]
    tensors = [*case.tensors, *(tensor for call in case.calls for tensor in call.tensors)]
    for text in (*(line for _, line in spec.inputs), *(tensor.domain for tensor in tensors)):
        found += own_domains(text)
    return list(dict.fromkeys(found))


def foreign(spec: SubjectSpec, *, careful: bool = False) -> tuple[Entry, Probed]:
    """The entry of a subject outside the catalogue, and what was found out about it. Runs its code;
    what that changed of torch's global state is put back.

    Raises:
        SubjectError: it cannot be imported, built, or judged as the spec says.
    """
    with globals_restored():
        return foreign_entry(load(spec.name), spec, careful=careful)
