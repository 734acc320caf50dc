"""A case as a standalone Python script: torch, the layer, the tensors, one call. For a bug report.

No code of the layer runs to write it: the tensors follow from the case and the row of its kind.
"""

import keyword
import math
import re
import textwrap
from collections.abc import Iterator

import torch

from verification import catalogue
from verification.cases import SAME, Case, Role, SubjectSpec
from verification.cases.case_file import CaseFile, CaseFileError
from verification.properties import PROPERTIES
from verification.properties.registry import Family
from verification.report.scripts.calls import calls
from verification.report.scripts.expressions import INSTEAD, literal, variable
from verification.running.replay import require_known_names
from verification.strategies.descriptions.drawn import own_domains
from verification.subjects.driving.told import Adapter
from verification.subjects.entry import Entry
from verification.subjects.foreign import entry_elsewhere
from verification.subjects.probing.probed import Probed
from verification.trials.trial import Trial

ONE_CALL = (Family.PARITY, Family.EXACTNESS)
"""The families that judge one forward and one backward on the case's own tensors."""


DERIVATIVES = "gradients_are_derivatives_of_forward"
"""The property of described functions whose gradients a script compares with slopes."""

IMPORTS = ("importlib", "inspect", "numpy", "runpy", "sys", "types")
"""What a script may need beside torch."""

PLACE = re.compile(
    r"(?P<list>\[\*)?layer\.(?!__)[A-Za-z_]\w*(\(\))?(?(list)\])"
    r"(\[(\d+|'[\w.]+')\])*(\.(?!__)[A-Za-z_]\w*)*"
)
"""An attribute of a layer or what a method of it gives, and an entry or an attribute of that."""

SHOWN = ("for name, tensor in results.items():", "    print(name, tensor, sep='\\n')")


def script(file: CaseFile) -> str:
    """The script's text. Where one call shows the failure, the script exits with 1 as long as the
    entry that was worst is still off.

    Raises:
        CaseFileError: one call of a layer cannot show the case, or its tensors cannot be made.
    """
    case = file.case
    if case.option("error") is not None:
        raise CaseFileError(f"one call of a layer cannot show {case.property}; {INSTEAD}")
    if not case.subject.foreign and case.subject.name not in catalogue.SHIPPED:
        raise CaseFileError(f"{case.subject.name} is no layer that a script could import")
    drawn = [name for spec in case.tensors for name in own_domains(spec.domain)]
    if drawn:
        raise CaseFileError(
            f"no script could repeat its tensors, which {drawn[0]} draws; {INSTEAD}"
        )
    require_known_names(case, case.subject.like or case.layer.name)
    _require_identifiers(case)
    try:
        entry = _entry(case.subject)
        described = bool(case.subject.inputs)
        tensors = list(_described_tensors(file, entry) if described else _tensors(case, entry))
        called = list(calls(case, entry.row))
    except CaseFileError:
        raise
    except Exception as error:  # whatever makes the case unreal
        raise CaseFileError(f"the case cannot be made real: {error}") from error
    body = [*_found(case), "", *tensors, "", *called, *SHOWN, *_verdict(file)]
    used = [name for name in IMPORTS if any(f"{name}." in line for line in body)]
    imports = [*(f"import {name}" for name in used), *([""] if used else []), "import torch", ""]
    return "\n".join([*_heading(file), *imports, *body]) + "\n"


def _entry(subject: SubjectSpec) -> Entry:
    if not subject.foreign:
        return catalogue.find(subject.name)
    return entry_elsewhere(subject, Probed.of(subject.found))


def _require_identifiers(case: Case) -> None:
    """Names of a case become code here: refuse one that is more than a name."""
    names = [variable(spec) for spec in case.tensors]
    names += [name for call in case.layer.walk() for name, _ in call.arguments]
    place, _, qualname = case.subject.name.partition(":")
    if case.subject.foreign:
        names += re.split("[.,]", qualname) + ([] if place.endswith(".py") else place.split("."))
        # What was told of a described function is no adapter.
        told = Adapter.of(case.subject.adapter) if case.subject.like else Adapter()
        found = dict(case.subject.found)
        for own in ("sources", "tensors"):
            names += [name for name, _ in found.get(own, ())]
        names += [name for name in (found.get("options"), told.backward) if name is not None]
        names += [name for name, _ in told.kwargs]
        names += [name for name, _ in found.get("held", ())]
        names += filter(None, found.get("gives", ()))
        names += [found[method] for method in ("forward", "backward") if method in found]
        for _, *codes in found.get("places", ()):
            _require_places(list(filter(None, codes)))
        if found.get("gave", "gradient") != "gradient":
            _require_places([found["gave"]])
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise CaseFileError(f"{name!r} is no name that can stand in a script")


def _require_places(codes: list[str]) -> None:
    """Where a layer holds something is an expression: refuse one that does more than look there."""
    for code in codes:
        if not PLACE.fullmatch(code):
            raise CaseFileError(f"{code!r} is no place in a layer that can stand in a script")


def _heading(file: CaseFile) -> Iterator[str]:
    case = file.case
    title = f"{case.layer.name}, {case.property.replace('_', ' ')}, {case.dtype} {case.device}."
    sentence = str((file.discrepancy or {}).get("sentence", "Nothing was wrong."))
    yield f'"""{title}'
    yield ""
    # What a layer raised may hold anything.
    yield from textwrap.wrap(sentence.replace("\\", "/").replace('"""', "'''"), 99)
    yield '"""'
    yield ""


def _found(case: Case) -> Iterator[str]:
    """The subject by its name, and what every number is made as."""
    place, _, name = case.subject.name.partition(":")
    if not case.subject.foreign:
        kinds = {call.name for call in case.layer.walk()} - {SAME}
        kinds |= {"Parameter"} if "lr" in case.layer.kwargs else set()
        yield f"from scratch_layers import {', '.join(sorted(kinds))}"
    else:
        module = f"importlib.import_module({place!r})"
        if place.endswith(".py"):
            module = f"types.SimpleNamespace(**runpy.run_path({place!r}))"
        yield f"module = {module}"
        several = ["forward", "backward"] if "," in name else ["Layer"]
        yield from (f"{v} = module.{n}" for v, n in zip(several, name.split(","), strict=True))
    yield ""
    yield f"torch.set_default_dtype(torch.{case.dtype})"
    yield f"torch.set_default_device({case.device!r})"
    yield 'nan, inf = float("nan"), float("inf")'


def _tensors(case: Case, entry: Entry) -> Iterator[str]:
    """One line a tensor, in the memory layout of the case."""
    trial = Trial(case, entry)
    placed = trial.placed | trial.placed_cotangents
    for spec in case.tensors:
        yield f"{variable(spec)} = {literal(placed[spec.name].tensor)}"


def _described_tensors(file: CaseFile, entry: Entry) -> Iterator[str]:
    """The same for a function that is not called here: a cotangent is a list of numbers."""
    case = file.case
    placed = Trial(case, entry).placed
    for spec in case.tensors:
        if spec.role is not Role.COTANGENT:
            yield f"{variable(spec)} = {literal(placed[spec.name].tensor)}"
        elif spec.values.stored is not None:
            values = torch.tensor(spec.values.stored, dtype=getattr(torch, case.dtype))
            yield f"{variable(spec)} = {literal(values)}"
        else:
            raise CaseFileError(f"its cotangent {spec.name} is not stored: it was not minimised")
    if "at a point close by" in str((file.discrepancy or {}).get("sentence")):
        yield "# It shows beside the point itself."
        for spec in case.of_role(Role.INPUT):
            if spec.dtype is None:
                name = variable(spec)
                yield f"{name} = {name} + ({name}.abs() + ({name} == 0)) / 64"


def _verdict(file: CaseFile) -> Iterator[str]:
    """The comparison at the worst entry, where the property is judged on these very calls."""
    found, family = file.discrepancy or {}, PROPERTIES[file.case.property].family
    if not all(_finite(found.get(name)) for name in ("got", "expected", "bound")):
        return
    entry = tuple(found.get("entry", ()))
    if file.case.property == DERIVATIVES:
        yield from _slope_verdict(found["tensor"], entry, abs(found["got"] - found["expected"]))
    if family not in ONE_CALL:
        return
    yield ""
    yield f"got = results[{found['tensor']!r}][{entry}].item()"
    yield f"expected, bound = {found['expected']!r}, {found['bound']!r}"
    yield 'print(f"got {got}, expected {expected}, bound {bound}")'
    yield "sys.exit(0 if abs(got - expected) <= bound else 1)"


def _slope_verdict(tensor: str, entry: tuple[int, ...], off: float) -> Iterator[str]:
    """A difference quotient has an error of its own: wrong is half of what was wrong then."""
    yield ""
    yield f"got = results[{tensor!r}][{entry}].item()"
    yield f"slope = results[{tensor.replace('gradient', 'slopes')!r}][{entry}].item()"
    yield 'print(f"got {got}, slope {slope}")'
    yield f"sys.exit(1 if abs(got - slope) > {off / 2!r} else 0)"


def _finite(number: object) -> bool:
    return isinstance(number, float) and math.isfinite(number)
