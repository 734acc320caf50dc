"""A case as a standalone Python script: torch, the layer, the tensors, one call. For a bug report.

No code of the layer runs to write it: the tensors follow from the case and the row of its kind.
"""

import keyword
import math
import textwrap
from collections.abc import Iterator

from torch import Tensor

from verification import catalogue
from verification.cases import Case, LayerCall, Role
from verification.cases.case_file import CaseFile, CaseFileError
from verification.properties import PROPERTIES
from verification.properties.registry import Family
from verification.references.laws import OUTPUT
from verification.running.replay import require_known_names
from verification.subjects.foreign import entry_elsewhere
from verification.subjects.probed import Probed
from verification.trials.trial import Trial

ONE_CALL = (Family.PARITY, Family.EXACTNESS)
"""The families that judge one forward and one backward on the case's own tensors."""


def script(file: CaseFile) -> str:
    """The script's text. Where one call shows the failure, the script exits with 1 as long as the
    entry that was worst is still off.

    Raises:
        CaseFileError: one call of a layer cannot show the case, or its tensors cannot be made.
    """
    case = file.case
    if case.layer.name == "SGD" or case.option("error") is not None:
        raise CaseFileError(f"one call of a layer cannot show {case.layer.name}, {case.property}")
    if case.subject.like is None and case.subject.name not in catalogue.SHIPPED:
        raise CaseFileError(f"{case.subject.name} is no layer that a script could import")
    require_known_names(case, case.subject.like or case.layer.name)
    _require_identifiers(case)
    try:
        tensors = list(_tensors(case))
    except Exception as error:  # whatever makes the case unreal
        raise CaseFileError(f"the case cannot be made real: {error}") from error
    lines = [*_heading(file), *_imports(case), "", *tensors, "", *_built(case), "", *_called(case)]
    return "\n".join([*lines, *_verdict(file)]) + "\n"


def _require_identifiers(case: Case) -> None:
    """Names of a case become code here: refuse one that is more than a name."""
    names = [_name(spec.name, spec.role) for spec in case.tensors]
    names += [name for call in case.layer.walk() for name, _ in call.arguments]
    place, _, qualname = case.subject.name.partition(":")
    if case.subject.like is not None:
        names += qualname.split(".") + ([] if place.endswith(".py") else place.split("."))
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise CaseFileError(f"{name!r} is no name that can stand in a script")


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


def _imports(case: Case) -> Iterator[str]:
    place, _, name = case.subject.name.partition(":")
    yield from ("import inspect", "import runpy", "import sys", "", "import torch", "")
    if case.subject.like is None:
        kinds = ", ".join(sorted({call.name for call in case.layer.walk()}))
        yield f"from scratch_layers import {kinds}"
    elif place.endswith(".py"):
        yield f"Layer = runpy.run_path({place!r})[{name!r}]"
    else:
        outermost = name.partition(".")[0]
        yield f"from {place} import {outermost}"
        yield f"Layer = {name}"
    yield ""
    yield f"torch.set_default_dtype(torch.{case.dtype})"
    yield f"torch.set_default_device({case.device!r})"
    yield 'nan, inf = float("nan"), float("inf")'


def _tensors(case: Case) -> Iterator[str]:
    """One line a tensor, in the memory layout of the case."""
    foreign = case.subject.like is not None
    entry = (
        entry_elsewhere(case.subject, Probed()) if foreign else catalogue.find(case.subject.name)
    )
    trial = Trial(case, entry)
    placed = trial.placed | trial.placed_cotangents
    for spec in case.tensors:
        yield f"{_name(spec.name, spec.role)} = {_literal(placed[spec.name].tensor)}"


def _name(name: str, role: Role) -> str:
    inside = "layer_" if name[:1].isdigit() else ""  # "0.weight" of a container
    return f"{inside}{name.replace('.', '_')}{'_cotangent' if role is Role.COTANGENT else ''}"


def _literal(tensor: Tensor) -> str:
    shape, stride = tuple(tensor.shape), tensor.stride()
    if tensor.is_contiguous():
        return f"torch.tensor({tensor.flatten().tolist()}, dtype={tensor.dtype}).reshape({shape})"
    span = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    memory = tensor.as_strided((span,), (1,)).tolist()
    return f"torch.tensor({memory}, dtype={tensor.dtype}).as_strided({shape}, {stride})"


def _built(case: Case) -> Iterator[str]:
    names = [_name(spec.name, spec.role) for spec in case.of_role(Role.PARAMETER)]
    if case.subject.like is None:
        yield f"layer = {_expression(case.layer)}"
    else:
        yield f"arguments = {case.layer.kwargs!r}"
        yield "taken = inspect.signature(Layer).parameters"
        yield "layer = Layer(**{name: arguments[name] for name in arguments if name in taken})"
    if not names:
        return
    yield f"values = [{', '.join(names)}]"
    yield 'if hasattr(layer, "parameters"):'
    yield "    for parameter, value in zip(layer.parameters(), values):"
    yield "        parameter.data = value"
    yield "else:"
    yield "    for (parameter, _), value in zip(layer.param(), values):"
    yield "        parameter.copy_(value)"


def _expression(call: LayerCall) -> str:
    inside = [_expression(child) for child in call.children]
    inside += [f"{name}={value!r}" for name, value in call.arguments]
    return f"{call.name}({', '.join(inside)})"


def _called(case: Case) -> Iterator[str]:
    inputs = ", ".join(_name(spec.name, spec.role) for spec in case.of_role(Role.INPUT))
    yield f"results = {{{OUTPUT!r}: layer.forward({inputs})}}"
    if case.of_role(Role.COTANGENT):
        cotangent = _name(OUTPUT, Role.COTANGENT)
        # A loss begins the way back, so it takes no cotangent.
        ends = case.layer.name.endswith("Loss")
        backward = f"layer.backward() * {cotangent}" if ends else f"layer.backward({cotangent})"
        yield f"results['input gradient'] = {backward}"
        parameters = [f"{spec.name} gradient" for spec in case.of_role(Role.PARAMETER)]
        if parameters:
            yield 'if hasattr(layer, "parameters"):'
            yield "    gradients = [parameter.grad for parameter in layer.parameters()]"
            yield "else:"
            yield "    gradients = [gradient for _, gradient in layer.param()]"
            yield f"results.update(zip({parameters}, gradients))"
    yield "for name, tensor in results.items():"
    yield "    print(name, tensor, sep='\\n')"


def _verdict(file: CaseFile) -> Iterator[str]:
    """The comparison at the worst entry, where the property is judged on these very calls."""
    found, prop = file.discrepancy or {}, PROPERTIES.get(file.case.property)
    numbers = [found.get(name) for name in ("got", "expected", "bound")]
    if prop is None or prop.family not in ONE_CALL or not all(map(_finite, numbers)):
        return
    entry = tuple(found.get("entry", ()))
    yield ""
    yield f"got = results[{found['tensor']!r}][{entry}].item()"
    yield f"expected, bound = {found['expected']!r}, {found['bound']!r}"
    yield 'print(f"got {got}, expected {expected}, bound {bound}")'
    yield "sys.exit(0 if abs(got - expected) <= bound else 1)"


def _finite(number: object) -> bool:
    return isinstance(number, float) and math.isfinite(number)
