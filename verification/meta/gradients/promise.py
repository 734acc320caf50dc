"""A promise of gradcheck's: something to ask, and the answer that must come."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gradcheck import GradientReport, check_gradients, check_second_order

BOTH = ("forward mode", "vmap")
"""What torch's own functions can be asked beside backward."""

Subject = tuple[Any, ...]
"""What is judged, then its arguments."""


@dataclass(frozen=True)
class Promise:
    """`broken` asks, and says what is not as promised: nothing if all is."""

    name: str
    broken: Callable[[], str]


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers, always the same."""
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_complex:
        return torch.randn(shape, generator=generator, dtype=dtype)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def right(
    name: str,
    make: Callable[[], Subject],
    *,
    basis: str = "estimated",
    judged: tuple[str, ...] = ("input",),
    not_judged: tuple[str, ...] = (),
    modes: tuple[str, ...] = BOTH,
    refused: tuple[str, ...] = (),
    undecided: int = 0,
    **options: Any,
) -> Promise:
    """Gradients that are right: nothing is called wrong, and the report says what was judged."""
    expected = {
        "complaints": (),
        "mismatches": (),
        "basis": basis,
        "judged": judged,
        "not judged": not_judged,
        "modes": modes,
        "refused": refused,
        "undecided": undecided,
    }

    def broken() -> str:
        report = _asked(make(), options)
        got = {
            "complaints": report.complaints,
            "mismatches": report.mismatches,
            "basis": report.basis,
            "judged": tuple(dict.fromkeys(tensor.tensor for tensor in report.tensors)),
            "not judged": report.not_judged,
            "modes": report.modes,
            "refused": tuple(mode.partition(":")[0] for mode in report.modes_refused),
            "undecided": report.undecided,
        }
        return _differences(got, expected) or _unsound(report)

    return Promise(f"right: {name}", broken)


@dataclass(frozen=True)
class Fault:
    """Where a gradient is wrong: the entries, or None for a random direction; how many times what
    is right it is there; the pattern that explains it.
    """

    entries: frozenset[tuple[int, ...] | None]
    ratio: float | None = None
    pattern: str | None = None
    mode: str = "backward"
    where: str | None = None


def at(*entries: tuple[int, ...] | None, **more: Any) -> Fault:
    """A fault at these entries."""
    return Fault(frozenset(entries), **more)


def everywhere(*shape: int, **more: Any) -> Fault:
    """A fault at all entries of a tensor of this shape."""
    places = torch.ones(shape).nonzero().tolist()
    return Fault(frozenset(tuple(place) for place in places), **more)


def wrong(
    name: str,
    make: Callable[[], Subject],
    faults: Mapping[str, Fault],
    *,
    second_order: bool = False,
    **options: Any,
) -> Promise:
    """Gradients that are wrong in these tensors and no others, at these entries."""

    def broken() -> str:
        report = _asked(make(), options, second_order)
        found: dict[str, set[Any]] = {}
        for mismatch in report.mismatches:
            found.setdefault(mismatch.tensor, set()).add(mismatch.entry)
        expected = {tensor: set(fault.entries) for tensor, fault in faults.items()}
        if found != expected:
            return f"got {report}, expected {expected}"
        others = {t.mode for t in report.tensors if not t.mismatches} - {"backward"}
        if others:
            return f"nothing is wrong with {others}, of which there is a report"
        said = [_misjudged(report, tensor, fault) for tensor, fault in faults.items()]
        return "; ".join(filter(None, said)) or _unsound(report)

    return Promise(f"wrong: {name}", broken)


def _misjudged(report: GradientReport, name: str, fault: Fault) -> str:
    """What is said amiss of one tensor that is known to be wrong."""
    tensor = next(t for t in report.tensors if t.tensor == name and t.mismatches)
    sizes = [abs(m.got - m.expected) for m in tensor.mismatches]
    if sizes != sorted(sizes, reverse=True):
        return f"{name}: the worst is not first"
    for m in tensor.mismatches:
        if abs(m.got - m.expected) <= m.bound:
            return f"{name}: {m} is within its bound"
        if fault.ratio is not None and not (
            abs(m.got - fault.ratio * m.expected) <= (1 + abs(fault.ratio)) * m.bound
        ):
            return f"{name}: {m} has another ratio than {fault.ratio}"
    got = {"mode": tensor.mode, "where": tensor.where}
    expected = {"mode": fault.mode, "where": fault.where or tensor.where}
    if fault.pattern is not None and fault.pattern not in str(report):
        return f"{name}: {fault.pattern!r} is not in {report}"
    return _differences(got, expected)


def complains(name: str, make: Callable[[], Subject], *sentences: str, **options: Any) -> Promise:
    """What is no wrong number is told by its name: a pattern of every complaint, in their order."""
    second_order = options.pop("second_order", False)

    def broken() -> str:
        report = _asked(make(), options, second_order)
        if report.ok or report.mismatches or len(report.complaints) != len(sentences):
            return f"got {report}"
        pairs = zip(report.complaints, sentences, strict=True)
        return "; ".join(got for got, sentence in pairs if not re.search(sentence, got))

    return Promise(f"complaint: {name}", broken)


def refuses(name: str, call: Callable[[], object], error: type[Exception], words: str) -> Promise:
    """What cannot be judged is refused, with the reason."""

    def broken() -> str:
        try:
            result = call()
        except error as raised:
            return "" if re.search(words, f"{raised}") else f"said {raised}"
        return f"got {result}"

    return Promise(f"refusal: {name}", broken)


def holds(name: str, check: Callable[[], str]) -> Promise:
    """Anything else: a function that says what is not as promised."""
    return Promise(name, check)


def each(make: Callable[..., Promise], name: str, *rest: Any, **options: Any) -> Iterator[Promise]:
    """The same promise with every method."""
    for method in ("auto", "full", "projection"):
        yield make(f"{name}, {method}", *rest, method=method, **options)


def _asked(
    subject: Subject, options: Mapping[str, Any], second_order: bool = False
) -> GradientReport:
    """The report, which must leave the arguments and torch's random state as they were."""
    f, *arguments = subject
    tensors = [a for a in arguments if isinstance(a, Tensor)]
    kept, state = [t.clone() for t in tensors], torch.get_rng_state()
    check = check_second_order if second_order else check_gradients
    report = partial(check, f, *arguments)(**options)
    same = all(torch.equal(t, k) for t, k in zip(tensors, kept, strict=True))
    if not same or not torch.equal(torch.get_rng_state(), state):
        raise AssertionError("an argument or torch's random state is not as it was")
    return report


def _unsound(report: GradientReport) -> str:
    """What no report may say."""
    for tensor in report.tensors:
        mode = f"{tensor.tensor} by {tensor.mode}"
        if not 0 <= tensor.undecided <= tensor.comparisons:
            return f"{mode}: {tensor.undecided} of {tensor.comparisons} undecided"
        if not tensor.comparisons and tensor.size:
            return f"{mode}: nothing was compared"
        if not 0 <= tensor.may_miss <= 2 * (2**-15):
            return f"{mode}: missed with probability {tensor.may_miss}"
    data = report.to_dict()
    again = json.dumps(json.loads(json.dumps(data)))
    if again != json.dumps(data) or data["sentence"] != str(report):
        return "the report is no plain data"
    return ""


def _differences(got: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    keys = dict.fromkeys([*expected, *got])
    return "; ".join(
        f"{key}: got {got.get(key)}, expected {expected.get(key)}"
        for key in keys
        if got.get(key) != expected.get(key)
    )
