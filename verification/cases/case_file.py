"""A case file: a Case as JSON, with what was found and where. Reading one runs no code.

Every float survives the way there and back: finite ones as the shortest decimal that reads back as
the same float (-0.0 keeps its sign), the others as {"float": "nan"}. `case.schema.json` beside this
file is the format; docs/case-file.md explains it.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from verification.cases.case import REAL, Call, Case, LayerCall, Role, TensorSpec, Values
from verification.cases.schemas import misfit
from verification.cases.size import largest_tensor
from verification.cases.subject_spec import SubjectSpec

SCHEMA_VERSION = 1
SUFFIX = ".case.json"

LINE = 100
"""Characters that a line of a case file may have before it is broken."""

LARGEST_FILE = 2**24
"""Bytes. A case that fits on a screen needs a few thousand."""

LARGEST_CASE = 2**26
"""Elements of all tensors of one case together: half a GiB in float64."""


TOLD = ("inputs", "adapter", "declared", "found")
"""The parts of a SubjectSpec that are left out where nothing stands in them."""


class CaseFileError(ValueError):
    """A case file that cannot be used; the message names the file, the field and what is wrong."""


@dataclass(frozen=True)
class CaseFile:
    """What a case file holds.

    discrepancy: a Finding's facts by name, None for a case that never failed. provenance: versions,
    platform, commit and test of the run that wrote it.
    """

    case: Case
    discrepancy: Mapping[str, Any] | None = None
    provenance: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Named by layer and content, so that one failure found twice is one file."""
        words = re.sub(r"(?<=[a-z0-9A-Z])(?=[A-Z][a-z])", "-", self.case.layer.name).lower()
        content = json.dumps(case_to_json(self.case), sort_keys=True).encode()
        return f"{words}-{hashlib.sha256(content).hexdigest()[:6]}{SUFFIX}"

    def to_dict(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        return {
            "schema": SCHEMA_VERSION,
            "case": case_to_json(self.case),
            "discrepancy": None if self.discrepancy is None else _to_json(self.discrepancy),
            "provenance": dict(self.provenance),
        }

    def write(self, folder: Path) -> Path:
        """Write the file into a folder, made if it is not there; the path of the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        path.write_text(_readable(self.to_dict()) + "\n")
        return path


def _readable(value: Any, indent: str = "") -> str:
    """JSON with whatever fits on a line on one line."""
    flat = json.dumps(value, allow_nan=False)
    if len(indent) + len(flat) <= LINE or not isinstance(value, (dict, list)):
        return flat
    inner = indent + "  "
    if isinstance(value, list):
        parts = [inner + _readable(item, inner) for item in value]
    else:
        parts = [f"{inner}{json.dumps(n)}: {_readable(item, inner)}" for n, item in value.items()]
    opening, closing = flat[0], flat[-1]
    return ",\n".join([f"{opening}\n{parts[0]}", *parts[1:]]) + f"\n{indent}{closing}"


def read(path: Path) -> CaseFile:
    """Read a case file.

    Raises:
        CaseFileError: it cannot be read, is no JSON, does not fit the schema, or its tensors need
            more memory than LARGEST_CASE allows.
    """
    try:
        return parse(_content(path))
    except CaseFileError as error:
        raise CaseFileError(f"case file {path}: {error}") from None


def _content(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise CaseFileError(f"{size} bytes; at most {LARGEST_FILE} are read")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CaseFileError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CaseFileError("is not UTF-8 text") from None


def parse(text: str) -> CaseFile:
    """A case file from its text; raises CaseFileError as `read` does."""
    if not text.strip():
        raise CaseFileError("is empty; a run writes it anew when the case fails again")
    try:
        content = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        _require_schema(content)
        case = case_from_json(content["case"])
    except CaseFileError:
        raise
    except RecursionError:
        raise CaseFileError("is nested too deeply to be a case") from None
    except ValueError as error:
        raise CaseFileError(f"is no JSON, or was cut off: {error}") from None
    _require_size(case)
    found = content["discrepancy"]
    return CaseFile(case, None if found is None else _from_json(found), content["provenance"])


def _no_constant(name: str) -> NoReturn:
    raise CaseFileError(f'{name} is no JSON number; write {{"float": "{name.lower()}"}}')


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise CaseFileError(f"the number {digits} is beyond every float")
    return number


def _require_schema(content: object) -> None:
    version = content.get("schema") if isinstance(content, dict) else None
    if isinstance(content, dict) and version != SCHEMA_VERSION:
        raise CaseFileError(
            f"schema is {version!r}, this version reads {SCHEMA_VERSION};"
            " use the version of scratch-layers named under provenance"
        )
    wrong = misfit(content, "verification.cases", "case.schema.json")
    if wrong is not None:
        raise CaseFileError(wrong)


def _require_size(case: Case) -> None:
    specs = [*case.tensors, *(spec for call in case.calls for spec in call.tensors)]
    total = 0
    for spec in specs:
        size = math.prod(spec.shape) if spec.shape is not None else 0
        total += size
        if total > LARGEST_CASE:
            raise CaseFileError(
                f"tensor {spec.name!r} of shape {spec.shape} takes the case beyond"
                f" {LARGEST_CASE} elements, the most that is replayed"
            )
        stored = spec.values.stored
        if stored is not None and spec.shape is not None and len(stored) != size:
            raise CaseFileError(
                f"tensor {spec.name!r} stores {len(stored)} values for its shape {spec.shape}"
            )
    largest = largest_tensor(case)
    # Written so that NaN is refused.
    if not largest <= LARGEST_CASE:
        raise CaseFileError(
            f"{case.layer.name} could make a tensor of {largest:.3g} elements here; at most"
            f" {LARGEST_CASE} are replayed"
        )


# The Case itself, both ways. Written out field by field: dataclasses.asdict copies every leaf and
# takes ten times as long, and the journal does this for every example.


def case_to_json(case: Case) -> dict[str, Any]:
    """A Case as JSON-ready data, without loss."""
    return {
        "subject": subject_to_json(case.subject),
        "layer": _layer_to_json(case.layer),
        "tensors": [_tensor_to_json(spec) for spec in case.tensors],
        "property": case.property,
        "dtype": case.dtype,
        "device": case.device,
        "calls": [
            {"kind": call.kind, "tensors": [_tensor_to_json(spec) for spec in call.tensors]}
            for call in case.calls
        ],
        "options": _to_json(dict(case.options)),
    }


def case_from_json(data: Mapping[str, Any]) -> Case:
    """The Case that `case_to_json` wrote."""
    return Case(
        subject_from_json(data["subject"]),
        _layer_from_json(data["layer"]),
        tuple(_tensor_from_json(spec) for spec in data["tensors"]),
        data["property"],
        data["dtype"],
        data["device"],
        tuple(
            Call(call["kind"], tuple(_tensor_from_json(spec) for spec in call["tensors"]))
            for call in data["calls"]
        ),
        tuple((name, _from_json(value)) for name, value in data["options"].items()),
    )


def subject_to_json(subject: SubjectSpec) -> dict[str, Any]:
    """A SubjectSpec as JSON-ready data; what was not said, and not found, is left out."""
    return {
        "name": subject.name,
        "like": subject.like,
        "digest": subject.digest,
        "waivers": list(subject.waivers),
        **{n: _to_json(dict(told)) for n in TOLD if (told := getattr(subject, n))},
    }


def subject_from_json(data: Mapping[str, Any]) -> SubjectSpec:
    """The SubjectSpec that `subject_to_json` wrote."""
    return SubjectSpec(
        data["name"],
        data["like"],
        data["digest"],
        tuple(data["waivers"]),
        **{n: tuple((k, _from_json(v)) for k, v in data.get(n, {}).items()) for n in TOLD},
    )


def _layer_to_json(call: LayerCall) -> dict[str, Any]:
    return {
        "name": call.name,
        "arguments": _to_json(dict(call.arguments)),
        "children": [_layer_to_json(child) for child in call.children],
    }


def _layer_from_json(data: Mapping[str, Any]) -> LayerCall:
    arguments = tuple((name, _from_json(value)) for name, value in data["arguments"].items())
    children = tuple(_layer_from_json(child) for child in data["children"])
    return LayerCall(data["name"], arguments, children)


def _tensor_to_json(spec: TensorSpec) -> dict[str, Any]:
    values: dict[str, Any] = {"family": spec.values.family, "seed": spec.values.seed}
    if spec.values.stored is not None:
        values["stored"] = [_to_json(number) for number in spec.values.stored]
    return {
        "name": spec.name,
        "role": spec.role.value,
        "shape": None if spec.shape is None else list(spec.shape),
        "values": values,
        "layout": spec.layout,
        "dtype": spec.dtype,
        **({} if spec.domain == REAL else {"domain": spec.domain}),
    }


def _tensor_from_json(data: Mapping[str, Any]) -> TensorSpec:
    values = data["values"]
    stored = values.get("stored")
    return TensorSpec(
        data["name"],
        Role(data["role"]),
        # int(): the schema's integer may be written 3.0.
        None if data["shape"] is None else tuple(int(size) for size in data["shape"]),
        Values(
            values["family"],
            int(values["seed"]),
            None if stored is None else tuple(float(_from_json(number)) for number in stored),
        ),
        data["layout"],
        data["dtype"],
        data.get("domain", REAL),
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, (tuple, list)):
        return [_to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _to_json(item) for name, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a Case holds {value!r}, a {type(value).__name__}: only None, bool, int, float, str and"
        " tuples of them can be written to a file"
    )


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    if isinstance(value, dict):
        if value.keys() == {"float"}:
            return float(value["float"])
        return {name: _from_json(item) for name, item in value.items()}
    return value
