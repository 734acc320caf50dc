"""A discrepancy in a few lines: what is wrong, on which layer, on which numbers, how to replay."""

import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verification.cases import REAL, Case, TensorSpec
from verification.cases.case_file import CaseFile
from verification.cases.provenance import provenance
from verification.report.comparison import place
from verification.report.summary import Failure
from verification.subjects.resolve import code_named
from verification.trials.discrepancy import Discrepancy

SHOWN = 16
"""Elements that a tensor may have to be written out whole."""


def save_case(discrepancy: Discrepancy, folder: Path, **origin: str) -> Path:
    """Write the case that shows the discrepancy into a folder; the file's path."""
    facts = discrepancy.finding.to_dict()
    return CaseFile(discrepancy.case, facts, provenance(**origin)).write(folder)


def failure_of(discrepancy: Discrepancy, path: Path) -> Failure:
    """The failure as a report shows it, with the command that replays its case file."""
    shown = os.path.relpath(path)
    replay = replay_command(discrepancy.case, shown)
    text, compared = failure_text(discrepancy, replay), _compared(discrepancy)
    cause = cause_of(discrepancy)
    return Failure(discrepancy.finding.sentence, text, shown, replay, compared, cause)


def cause_of(discrepancy: Discrepancy) -> str:
    """What is wrong and how, whatever property showed it: "weight gradient value", "died"."""
    return " ".join(filter(None, discrepancy.cause[1:]))


def _compared(discrepancy: Discrepancy) -> dict[str, Any] | None:
    """The compared entries as JSON that every reader takes: "nan" for NaN."""
    if discrepancy.finding.compared is None:
        return None
    compared = discrepancy.finding.compared.to_dict()
    return {
        name: [n if math.isfinite(n) else str(n) for n in numbers]
        for name, numbers in compared.items()
    }


def replay_command(case: Case, file: str) -> str:
    """The command that runs a case again; code outside the catalogue must be allowed by name."""
    allowed = (f" --verify-allow-layer {name}" for name in code_named(case))
    return f"pytest --replay-case {file}{''.join(allowed)}"


def failure_text(discrepancy: Discrepancy, replay: str = "") -> str:
    """The discrepancy as a block of lines; `replay` is the command that shows it again."""
    case, finding = discrepancy.case, discrepancy.finding
    title = discrepancy.property_name.replace("_", " ")
    lines = [f"{case.layer.name}  {title}  {case.dtype} {case.device}", f"  {finding.sentence}"]
    if finding.wrong is not None and finding.total is not None and finding.total > 1:
        lines[-1] += f"; {finding.wrong} of {finding.total} entries"
    lines += [f"  {line}" for line in case_lines(case)]
    if replay:
        lines.append(f"  replay: {replay}")
    return "\n".join(lines)


def case_lines(case: Case) -> Iterator[str]:
    """The case in text: the layer, what the property drew, and every tensor."""
    yield str(case.layer)
    if case.options:
        yield "  ".join(f"{name}={value!r}" for name, value in case.options)
    yield from map(tensor_line, case.tensors)
    for number, call in enumerate(case.calls, 1):
        yield f"call {number}: {call.kind}"
        yield from (f"  {tensor_line(spec)}" for spec in call.tensors)


def tensor_line(spec: TensorSpec) -> str:
    """One tensor: name, shape, layout where it is not contiguous, dtype where it has its own,
    values.
    """
    words = [
        spec.name if spec.role.value in (spec.name, "parameter") else f"{spec.role} {spec.name}"
    ]
    if spec.shape is not None:
        words.append("x".join(map(str, spec.shape)) or "scalar")
    words += [word for word in (spec.layout, spec.dtype) if word not in ("contiguous", None)]
    return f"{' '.join(words)}: {_values(spec)}"


def _values(spec: TensorSpec) -> str:
    stored = spec.values.stored
    if stored is None:
        numbers = spec.values.family if spec.domain == REAL else spec.domain
        return f"{numbers}, seed {spec.values.seed}"
    if len(stored) <= SHOWN and spec.shape is not None:
        return _nested(stored, spec.shape)
    if len(stored) <= SHOWN:
        return f"[{', '.join(map(_number, stored))}]"
    return _common_but(stored, spec.shape)


def _nested(stored: tuple[float, ...], shape: tuple[int, ...]) -> str:
    if not shape:
        return _number(stored[0])
    step = math.prod(shape[1:])
    parts = [_nested(stored[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]
    return f"[{', '.join(parts)}]"


def _common_but(stored: tuple[float, ...], shape: tuple[int, ...] | None) -> str:
    """The commonest number, and where the tensor departs from it."""
    # repr tells -0.0 from 0.0 and makes nan equal to nan.
    common = Counter(map(_number, stored)).most_common(1)[0][0]
    others = [
        f"{place(flat, shape or (len(stored),))}={_number(number)}"
        for flat, number in enumerate(stored)
        if _number(number) != common
    ]
    if not others:
        return f"all {common}"
    left_out = f", ... {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return f"all {common} but {', '.join(others[:SHOWN])}{left_out}"


def _number(number: float) -> str:
    return repr(number).removesuffix(".0")
