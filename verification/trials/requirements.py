"""What a property may require of a result, and how a trial says what is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from gradcheck import rounding
from verification.cases import Case
from verification.references.laws.enclosure import Deferred, Enclosure
from verification.references.laws.law import Enclosures
from verification.subjects.entry import Entry
from verification.trials.discrepancy import Discrepancy, Finding
from verification.trials.outcome import Unjudged
from verification.trials.results import Part, Results, compared
from verification.trials.sums import rounded

SHOWN, ENOUGH = 9, 17
"""Significant digits of a number in a sentence, and those that tell any two apart."""


class Requirements:
    """What holds for the results of one case, in its dtype and on its device. What does not is
    raised as a Discrepancy; `counts` are those that the report shows.
    """

    def __init__(self, case: Case, entry: Entry) -> None:
        self.case = case
        self.entry = entry
        self.dtype: torch.dtype = getattr(torch, case.dtype)
        self.device = torch.device(case.device)
        self.counts: dict[str, int] = {}

    def require_close(self, tensor: str, got: Tensor, truth: Enclosure, why: str = "") -> None:
        """Shape, dtype and device of the truth, and every entry within its bound; non-finite
        entries the same.
        """
        self.require_like(tensor, got, tuple(truth.value.shape))
        self.count("entries compared", truth.value.numel())
        self.count("entries exact", truth.value.numel() if truth.exact else 0)
        values = got.detach().to("cpu", torch.float64)
        agree = (values == truth.value) | (values.isnan() & truth.value.isnan())
        if bool((agree | ((values - truth.value).abs() <= truth.least)).all()):
            return
        undecided = truth.error.isinf()
        self.count("entries undecided", int(undecided.sum()))
        near = ((values - truth.value).abs() <= truth.error) & truth.value.isfinite()
        # What is too large for the dtype is rounded to an infinity.
        beyond = truth.value.abs() + truth.error > torch.finfo(self.dtype).max
        overflowed = beyond & (values == truth.value.sign() * torch.inf)
        agree = agree | near | undecided | overflowed
        if not bool(agree.all()):
            self._fail_at(tensor, values, truth.value, truth.error, agree, why)

    def require_results(self, got: Mapping[str, Tensor], truths: Enclosures) -> None:
        """Every result is there and within its bound."""
        results = Results(got, self.fail)
        for name, truth in truths.items():
            self.require_close(name, results[name], truth)

    def require_sum(
        self, tensor: str, got: Tensor, truth: Enclosure, *parts: Part, why: str = ""
    ) -> None:
        """A result is the sum of other results, as far as the bounds of all of them allow.

        One part of factor 1 says that two runs agree.
        """
        expected, magnitude, terms = torch.zeros_like(truth.value), truth.value.abs(), []
        for part in parts:
            self.require_like(tensor, part.got, tuple(expected.shape))
            terms.append((part.factor, part.got.detach().to("cpu", torch.float64)))
            value = part.factor * terms[-1][1]
            expected, magnitude = expected + value, magnitude + value.abs()
        exact = truth.exact and all(part.truth.exact for part in parts)
        # A choice between near ones may be another in the stand-in, and so may the sizes.
        u = rounding.unit_roundoff(self.dtype) if self.entry.row.described else 0.0
        least = rounding.OUTPUT_ROUNDINGS * u * magnitude

        def error() -> Tensor:
            total = truth.error + sum(abs(part.factor) * part.truth.error for part in parts) + least
            summed = rounding.gamma(len(parts), rounding.unit_roundoff(torch.float64)) * magnitude
            return total + (torch.where(rounded(terms), summed, 0.0) if exact else summed)

        self.require_close(tensor, got, Deferred(expected, error, least, exact), why)

    def require_same(self, tensor: str, got: Tensor, expected: Tensor, why: str) -> None:
        """The same shape and numbers; NaN equals NaN, and the sign of zero is not compared."""
        self.require_like(tensor, got, tuple(expected.shape))
        self.count("entries compared", expected.numel())
        self.count("entries exact", expected.numel())
        values, wanted = (t.detach().to("cpu", torch.float64) for t in (got, expected))
        agree = (values == wanted) | (values.isnan() & wanted.isnan())
        if not bool(agree.all()):
            self._fail_at(tensor, values, wanted, torch.zeros_like(wanted), agree, why)

    def require_like(self, tensor: str, got: Tensor, shape: tuple[int, ...]) -> None:
        """A tensor of that shape, in the case's dtype and on its device."""
        if not isinstance(got, Tensor):
            self.fail("type", tensor, f"{tensor} is {type(got).__name__}, not a tensor")
        if tuple(got.shape) != shape:
            self.fail(
                "shape", tensor, f"{tensor} has shape {_by(got.shape)}, expected {_by(shape)}"
            )
        counted = self.entry.row.described and not got.is_floating_point()  # a place, an order
        if got.dtype != self.dtype and not counted:
            self.fail("dtype", tensor, f"{tensor} is {got.dtype}, expected {self.dtype}")
        if got.device.type != self.device.type:
            self.fail("device", tensor, f"{tensor} is on {got.device}, expected {self.device}")

    def require(self, holds: bool, kind: str, tensor: str, sentence: str) -> None:
        """Anything else that must hold; the sentence says what is wrong when it does not."""
        if not holds:
            self.fail(kind, tensor, sentence)

    def fail(self, kind: str, tensor: str, sentence: str, **facts: Any) -> NoReturn:
        """Raise the discrepancy of that kind; `facts` are the further fields of its Finding."""
        finding = Finding(kind, tensor, sentence, **facts)
        raise Discrepancy.of(self.case.property, finding, self.case)

    def fail_with(self, error: BaseException, what: str) -> NoReturn:
        """Raise the discrepancy of an error that the subject raised where it should have worked."""
        sentence = f"{what} {type(error).__name__}: {error}"
        finding = Finding(f"raised {type(error).__name__}", "", sentence)
        raise Discrepancy.of(self.case.property, finding, self.case) from error

    def unjudged(self, reason: str) -> NoReturn:
        """End the trial without a verdict; it is counted as not exercised, for that reason."""
        raise Unjudged(reason)

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of the counts that the report shows."""
        self.counts[name] = self.counts.get(name, 0) + by

    def _fail_at(
        self,
        tensor: str,
        got: Tensor,
        expected: Tensor,
        bound: Tensor,
        agree: Tensor,
        why: str = "",
    ) -> NoReturn:
        # The worst entry; an entry that is NaN where it should not be counts as worst of all.
        excess = torch.where(agree, -1.0, ((got - expected).abs() - bound).nan_to_num(torch.inf))
        entry = tuple(int(i) for i in torch.unravel_index(excess.argmax(), excess.shape))
        at = f" at {list(entry)}" if entry else ""
        limit = bound[entry].item()
        shown = [got[entry].item(), expected[entry].item()]
        digits = SHOWN if len({f"{n:.{SHOWN}g}" for n in shown}) > 1 else ENOUGH
        numbers = "got {:.{n}g}, expected {:.{n}g}".format(*shown, n=digits)
        why = why or self._computed_in(got, expected, bound, ~agree)
        sentence = f"{tensor} wrong{at}: {numbers}, bound {limit:.2g}{why and f' ({why})'}"
        self.fail(
            "value",
            tensor,
            sentence,
            entry=entry,
            got=got[entry].item(),
            expected=expected[entry].item(),
            bound=limit,
            wrong=int((~agree).sum()),
            total=agree.numel(),
            compared=compared(got, expected, bound, excess),
        )

    def _computed_in(self, got: Tensor, expected: Tensor, bound: Tensor, wrong: Tensor) -> str:
        """Whether what is wrong is as far off as in a coarser dtype: all of it within the bound
        there, and the worst entry nearer to that than to its own.
        """
        u = rounding.unit_roundoff(self.dtype)
        excess = ((got - expected).abs() / bound)[wrong].nan_to_num(torch.inf).max()
        for coarser in (torch.float32, torch.float16, torch.bfloat16):
            ratio = rounding.unit_roundoff(coarser) / u
            # A bound as large as the numbers would explain whatever is wrong.
            tells = bool((bound[wrong] * ratio < expected.abs().max()).all())
            if tells and coarser.itemsize < self.dtype.itemsize and excess**2 >= ratio >= excess:
                name = str(coarser).removeprefix("torch.")
                return f"as far off as {name} would be: is something computed in it?"
        return ""


def _by(shape: tuple[int, ...] | torch.Size) -> str:
    return "x".join(map(str, shape)) or "scalar"
