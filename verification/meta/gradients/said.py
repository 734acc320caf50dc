"""What a report says, and that a check tells how far it is."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from gradcheck import GradientError, check_gradients, check_second_order
from gradcheck.rounding import NOISE_SAFETY
from verification.meta.gradients.promise import Promise, holds, numbers


def _right() -> str:
    report = check_gradients(torch.tanh, numbers(3, 4))
    start = "gradients of tanh right within estimated bounds (input): "
    end = f"; noise estimated, taken {NOISE_SAFETY:g} times"
    middle = "is missed with probability 2e-05 at most"
    said = str(report)
    report.raise_for_failure()
    fits = said.startswith(start) and said.endswith(end) and middle in said
    return "" if fits and f"{report.comparisons} comparisons" in said else said


def _wrong() -> str:
    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return g * torch.where(x > 1, 0.5, 1.0)

    given = {"output": torch.full((4,), 2.0, dtype=torch.float64)}
    report = check_gradients((lambda x: x * 1.0, vjp), torch.arange(4.0).double(), cotangents=given)
    said = str(report)
    expected = "wrong at [2]: analytic 1, numerical 2 ± "
    if "Entries" in repr(report):
        return "the whole gradient stands in the text of a report"
    parts = (expected, "ratio 0.5000; 2 of 4 entries differ, all divided by 2")
    (tensor,) = report.to_dict()["tensors"]  # type: ignore[misc]
    data = (tensor["size"], tensor["pattern"], [m["entry"] for m in tensor["mismatches"]])
    try:
        report.raise_for_failure()
    except GradientError as error:
        fits = error.report is report and str(error) == said
        right = fits and data == (4, "all divided by 2", [[2], [3]])
        return "" if right and all(part in said for part in parts) else f"{said}, {data}"
    return "nothing is raised"


def _exact() -> str:
    said = str(check_gradients(lambda x: 3 * x, numbers(3)))
    end = "; any error is missed with probability 1e-07 at most"
    return "" if said.endswith(end) and "estimated" not in said else said


def _undecided() -> str:
    report = check_gradients(torch.exp, 300 * numbers(6, dtype=torch.float32))
    said = str(report)
    return "" if ": 0 comparisons, 12 undecided; noise" in said else said


def _resolution() -> str:
    """Errors above 2^-20 of what is compared are seen, by entries and by directions."""
    for method in ("full", "projection"):
        for f, x in ((torch.sin, numbers(400)), (torch.square, numbers(3, 4))):
            report = check_gradients(f, x, method=method)
            (tensor,) = report.tensors
            if not tensor.resolution <= 2.0**-17 or tensor.method != method:
                return f"{tensor}"
    return ""


def _missed() -> str:
    """How often a fault hides: from two directions of 26 bits; from cotangents of 8, or 12."""
    one, many = lambda x: x.sin().sum(), lambda x: x @ x.T
    asked = {
        "directions": (one, "projection", 2.0**-52),
        "entries of a sum": (one, "full", 0.0),
        "entries": (torch.sin, "full", 2.0**-16),
        "both": (torch.sin, "projection", 2.0**-16 + 2.0**-52),
        "integers": (many, "projection", 2.0**-23),
    }
    found = {
        name: check_gradients(f, numbers(4, 3), method=method).tensors[0].may_miss
        for name, (f, method, _) in asked.items()
    }
    return "" if found == {name: chance for name, (*_, chance) in asked.items()} else f"{found}"


def _same_again() -> str:
    """The same seed gives the same report, in every number."""
    asked = (torch.sin, lambda x, g: g * (x.cos() + (x > 1))), numbers(3, 4)
    first, again, other = (check_gradients(*asked, seed=seed) for seed in (3, 3, 4))
    return "" if first == again and first != other and not first.ok else f"{first}; {again}"


def _progress(told: bool, dtype: torch.dtype = torch.float64) -> str:
    """A line each second, where four calls take one, given to a function or to stderr."""
    calls, lines, heard = 0, list[str](), io.StringIO()

    def sine(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return x.sin()

    pair = (sine, lambda x, g: g * x.cos().conj()), numbers(12, dtype=dtype)
    given = {"output": numbers(12, seed=1, dtype=dtype)}
    progress: Any = lines.append if told else True
    clock = mock.Mock(side_effect=lambda: 7 + calls / 4)
    with mock.patch("time.monotonic", new=clock), redirect_stderr(heard):
        check_gradients(*pair, cotangents=given, method="full", progress=progress)
    text = "\n".join(lines) if told else heard.getvalue()
    found = re.findall(r"^sine: (.*); (\d+) calls in (\d+) s$", text, re.MULTILINE)
    due = [(f"{4 * second}", f"{second}") for second in range(1, calls // 4 + 1)]
    places = {place for place, *_ in found}
    size = 24 if dtype.is_complex else 12
    begun = places == {"looking for what is affine", f"input, 0 of {size} lines"}
    return "" if begun and [(n, s) for _, n, s in found] == due else f"{calls} calls: {text}"


def _quiet() -> str:
    """Nothing is told to who has not asked."""
    clock, heard = mock.Mock(side_effect=itertools.count()), io.StringIO()
    with mock.patch("time.monotonic", new=clock), redirect_stderr(heard):
        check_gradients(torch.sin, numbers(12))
    return heard.getvalue()


def _tangled(x: Tensor) -> Tensor:
    """A function with 2^40 ways back through its graph."""
    for _ in range(40):
        x = (x + x.sin()) / 2
    return x


def _second(f: Callable[[Tensor], Tensor]) -> str:
    report = check_second_order(f, numbers(3))
    return "" if report.ok and not report.undecided else f"{report}"


def _derived() -> str:
    def evaluation(inputs: Any, parameters: Any) -> dict[str, Tensor]:
        x, w = inputs["x"].abs(), inputs["w"].abs()
        return {"output": x.shape[1] * 2.0**-52 * (x @ w)}

    x, w, g = numbers(4, 6), numbers(6, 3, seed=1), numbers(4, 3, seed=2)
    report = check_gradients(
        (lambda x, w: x @ w, lambda x, w, g: (g @ w.T, x.T @ g)),
        x,
        w,
        cotangents={"output": g},
        evaluation_error=evaluation,
        analytic_error={
            "x": 3 * 2.0**-52 * (g.abs() @ w.abs().T),
            "w": 4 * 2.0**-52 * (x.abs().T @ g.abs()),
        },
        method="full",
    )
    right = (report.ok, report.basis, report.undecided) == (True, "derived", 0)
    narrow = all(tensor.resolution <= 2.0**-37 for tensor in report.tensors)
    return "" if right and narrow else f"{report} {[t.resolution for t in report.tensors]}"


PROMISES: tuple[Promise, ...] = (
    holds("sentence: right", _right),
    holds("sentence: wrong", _wrong),
    holds("sentence: exact", _exact),
    holds("sentence: undecided", _undecided),
    holds("resolution", _resolution),
    holds("probability", _missed),
    holds("the same again", _same_again),
    holds("progress", lambda: _progress(told=True)),
    holds("progress, complex", lambda: _progress(told=True, dtype=torch.complex128)),
    holds("no progress", _quiet),
    holds("progress on stderr", lambda: _progress(told=False)),
    holds("second derivatives of a number", lambda: _second(lambda x: (x**3).sum())),
    holds("second derivatives of a tangle", lambda: _second(_tangled)),
    holds("derived bounds", _derived),
)
