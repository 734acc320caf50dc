"""The verdict on one tensor's gradient: cheap lines first, entries to name what is wrong."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from gradcheck.classes import GRID, Basis
from gradcheck.comparison import Agreement, Comparison, Point
from gradcheck.evaluation import CHUNK_ELEMENTS, PointError, power_of_two_near
from gradcheck.exactness import (
    ExactPoint,
    NotExact,
    agrees_exactly,
    exact_bits_and_count,
    exact_lines,
    exact_point,
    packed_lines,
)
from gradcheck.findings import entries_along, mismatches_along
from gradcheck.joined import joined
from gradcheck.lines import (
    Lines,
    along,
    along_entries,
    bits_and_count,
    miss_probability,
    random_lines,
)
from gradcheck.modes import Judged, judge_modes
from gradcheck.nearby import confirmed, neighbour, neighbourhood
from gradcheck.projections import locate
from gradcheck.report import Method, TensorReport
from gradcheck.rounding import HIDING

_FEW_ENTRIES = 8  # up to here entries cost about as many calls as directions
_SMALL_TABLE = CHUNK_ELEMENTS // 4  # up to here all entries share one quick call
_LOOK_AGAIN = 4  # entries that decide whether the others are looked at again
_ENTRIES_OF_FLOAT32 = 512
_ENTRIES_TO_LIST = 4096  # beyond, one wrong entry is found by bisection


Verdict = tuple[TensorReport, Basis]


def judge_all(
    point: Point,
    names: Sequence[str],
    method: Literal["auto", Method],
    generator: torch.Generator,
    exactly: bool,
    look_elsewhere: bool,
) -> tuple[list[Verdict], Judged]:
    """Judge the gradients of all ``names``, and say what the bounds rest on.

    ``exactly`` where the map allows that. What is wrong there is shown at ``point`` itself, if
    it is large enough to be seen among the roundings there. ``look_elsewhere``: what is right
    within bounds is judged at a second point too, and in every other mode that the subject offers.
    """
    verdicts, agreements = (
        _judge_exactly(point, names, method, generator) if exactly else (None, [])
    )
    if verdicts is None:
        verdicts = [_judge(point, name, method, generator) for name in names]
        if look_elsewhere and not any(report.mismatches for report, _ in verdicts):
            agreements = _look_elsewhere(point, verdicts, generator)
    elif any(report.mismatches for report, _ in verdicts):
        return [_shown_here(point, v, method, generator) for v in verdicts], Judged()
    judged = judge_modes(agreements, lambda: neighbour(point, generator))
    wrong = {report.tensor: report for report in judged.wrong}
    basis = verdicts[0][1]
    replaced = [(wrong.pop(report.tensor, report), its) for report, its in verdicts]
    return replaced + [(report, basis) for report in wrong.values()], judged


def _shown_here(
    point: Point, verdict: Verdict, method: Literal["auto", Method], generator: torch.Generator
) -> Verdict:
    """A verdict at integers, or that at the point that was asked about if it shows the same."""
    if not verdict[0].mismatches:
        return verdict
    here = _judge(point, verdict[0].tensor, method, generator)
    return here if here[0].mismatches else verdict


def _look_elsewhere(
    point: Point, verdicts: list[Verdict], generator: torch.Generator
) -> list[Agreement]:
    """Replace verdicts by those at another point, where gradients are wrong there.

    A backward that kept something of its first call is right at that call's point for ever. All
    tensors are looked at together, and one by one only if something is wrong.
    """
    inputs, parameters = neighbourhood(point, generator)
    beside = {**inputs, **parameters}
    scales = {r.tensor: power_of_two_near(beside[r.tensor]) for r, _ in verdicts}
    question, *tensors, name = joined(point.question, inputs, parameters, scales)
    together = type(point)(question, *tensors)
    report, lines, comparison = _judge_at(together, name, "projection", generator)
    if not report.mismatches:
        return [Agreement(together, name, lines, comparison, "beside")]
    apart = point.at(beside)
    for place, (report, _) in enumerate(verdicts):
        there, _, comparison = _judge_at(apart, report.tensor, "projection", generator)
        if there.mismatches:
            verdicts[place] = replace(there, where="beside"), comparison.basis
    return []


def _judge_exactly(
    point: Point,
    names: Sequence[str],
    method: Literal["auto", Method],
    generator: torch.Generator,
) -> tuple[list[Verdict] | None, list[Agreement]]:
    """Verdicts where nothing is rounded, and what agreed; None if something turns out to be."""
    by_entry = method == "full" or (method == "auto" and _hides_in_sums(point, names))
    if not by_entry:
        agreed = agrees_exactly(point, names, generator)
        if agreed is not None:
            return [_exactly_right(point, name, agreed.comparison) for name in names], [agreed]
    exact = exact_point(point, names, generator, with_units=by_entry)
    if exact is None:
        return None, []
    try:
        judged = [_judge_tensor_exactly(exact, name, by_entry, generator) for name in names]
    except (NotExact, PointError):
        return None, []
    return [verdict for verdict, _ in judged], [agreed for _, agreed in judged if agreed]


def _hides_in_sums(point: Point, names: Sequence[str]) -> bool:
    """Whether small errors are rounded away in sums of float32, and entries are few."""
    tensors = [point.tensor(name) for name in names]
    return all(t.dtype == torch.float32 and t.numel() <= _ENTRIES_OF_FLOAT32 for t in tensors)


def _judge_tensor_exactly(
    exact: ExactPoint, name: str, by_entry: bool, generator: torch.Generator
) -> tuple[Verdict, Agreement | None]:
    """The verdict on one tensor, and the random directions if they agree.

    Raises NotExact where something turns out to be rounded.
    """
    tensor = exact.tensor(name)
    random = exact_lines(tensor, generator)
    entries = by_entry or tensor.numel() <= len(random)
    lines, comparison = random, exact.compare(name, random)
    agreed: Agreement | None = None
    if not bool(comparison.wrong.any()):
        agreed = Agreement(exact, name, random, comparison, "integers")
    packed = _packed(exact, name) if entries and agreed else None
    if packed is not None:
        lines, comparison = packed
    elif entries:
        lines = along_entries(tensor)
        comparison = exact.compare(name, lines)
    elif agreed is None:
        lines, comparison = _by_entry(exact, name, lines, comparison)
    hidden = miss_probability(*exact_bits_and_count(exact.dtype))  # from the cotangents
    report = TensorReport(
        tensor=name,
        size=tensor.numel(),
        method="full" if entries or len(lines) == tensor.numel() else "projection",
        comparisons=comparison.bound.numel(),
        undecided=0,
        mismatches=mismatches_along(name, lines, comparison),
        entries=entries_along(tensor, lines, comparison),
        may_miss=hidden if entries else 2 * hidden,
        resolution=HIDING * comparison.bound.max().item(),
        where="integers",
    )
    return (report, comparison.basis), agreed


def _packed(exact: ExactPoint, name: str) -> tuple[Lines, Comparison] | None:
    """All entries, several in one direction, if that has room and nothing is wrong."""
    lines = packed_lines(exact.tensor(name))
    if lines is None:
        return None
    try:
        comparison = exact.compare(name, lines)
    except NotExact:
        return None
    return None if bool(comparison.wrong.any()) else (lines, comparison)


def _exactly_right(point: Point, name: str, agreed: Comparison) -> Verdict:
    """The verdict on one of several tensors whose directions were compared together."""
    tensor = point.tensor(name)
    hidden = miss_probability(*exact_bits_and_count(tensor.dtype))
    report = TensorReport(
        tensor=name,
        size=tensor.numel(),
        method="projection",
        comparisons=agreed.bound.numel(),
        undecided=0,
        mismatches=(),
        entries=None,
        may_miss=2 * hidden,
        resolution=0.0,
        where="integers",
    )
    return report, agreed.basis


def _judge(
    point: Point, name: str, method: Literal["auto", Method], generator: torch.Generator
) -> Verdict:
    """Judge one tensor's gradient at ``point``; also says what the bounds rest on.

    Where kinks left room between their slopes, or a comparison is undecided, a point beside it
    decides: there every derivative is one number.
    """
    report, _, comparison = _judge_at(point, name, method, generator)
    if not report.mismatches and (bool(comparison.kinked.any()) or report.undecided):
        beside, *_ = _judge_at(neighbour(point, generator), name, method, generator)
        if beside.mismatches:
            report = replace(beside, where="beside")
    return report, comparison.basis


def _judge_at(
    point: Point, name: str, method: Literal["auto", Method], generator: torch.Generator
) -> tuple[TensorReport, Lines, Comparison]:
    tensor = point.tensor(name)
    used: Method = _cheaper(point, name) if method == "auto" else method
    lines = random_lines(tensor, generator)
    if used == "full" or tensor.numel() <= len(lines):
        used, lines = "full", along_entries(tensor)
    comparison = point.compare(name, lines)
    may_miss = point.question.may_miss
    if used == "projection":
        may_miss += miss_probability(*bits_and_count(tensor.dtype))
    if used == "projection" and bool(comparison.wrong.any()):
        lines, comparison = _by_entry(point, name, lines, comparison)
        used = "full" if len(lines) == tensor.numel() else used
    comparison = _confirm(point, name, lines, comparison, generator)
    bounds = comparison.bound[~comparison.undecided]
    report = TensorReport(
        tensor=name,
        size=tensor.numel(),
        method=used,
        comparisons=comparison.bound.numel(),
        undecided=int(comparison.undecided.sum()),
        mismatches=mismatches_along(name, lines, comparison),
        entries=entries_along(tensor, lines, comparison),
        may_miss=may_miss,
        resolution=HIDING * bounds.max().item() if len(bounds) else 0.0,
        where="given",
    )
    return report, lines, comparison


def _confirm(
    point: Point, name: str, lines: Lines, comparison: Comparison, generator: torch.Generator
) -> Comparison:
    """The comparison with its wrong lines looked at again: the worst ones, then the rest.

    Where the worst are wrong beyond doubt, so is the verdict, and the rest stay as they are.
    """
    wrong = comparison.wrong
    if not bool(wrong.any()):
        return comparison
    difference = torch.where(wrong, (comparison.got - comparison.expected).abs(), 0.0)
    worst = difference.nan_to_num(torch.inf).amax(0).argsort(descending=True, stable=True)
    suspects = wrong.any(0)
    first = torch.zeros_like(suspects)
    first[worst[:_LOOK_AGAIN]] = True
    for chosen in (suspects & first, suspects & ~first):
        if bool(chosen.any()):
            again = confirmed(point, name, lines.where(chosen), generator)
            comparison = comparison.replaced(chosen, again)
            if bool(again.wrong.any(0).all()):
                break
    return comparison


def _cheaper(point: Point, name: str) -> Method:
    """Entries where they are few, or where one stacked call of moderate size does."""
    tensor = point.tensor(name)
    evaluator = point.prepare(name)
    table = len(GRID) * tensor.numel() * (tensor.numel() + evaluator.base.numel())
    one_call = evaluator.shares_calls(name) and table <= _SMALL_TABLE
    return "full" if tensor.numel() <= _FEW_ENTRIES or one_call else "projection"


def _by_entry(
    point: Point, name: str, lines: Lines, comparison: Comparison
) -> tuple[Lines, Comparison]:
    """The wrong entries behind wrong directions; the directions themselves if none is found."""
    tensor = point.tensor(name)
    entries: Tensor | None = None
    if tensor.numel() > _ENTRIES_TO_LIST:
        _, direction = next(lines.where(comparison.wrong.any(0)).chunks(1))

        def is_wrong(trial: Tensor) -> bool:
            return bool(point.compare(name, along(trial[None])).wrong.any())

        found = locate(is_wrong, direction[0])
        if found is None:
            return lines, comparison
        entries = torch.tensor([found])
    by_entry = along_entries(tensor, entries)
    there = point.compare(name, by_entry)
    settled = entries is None and _support(there, lines, comparison)
    return (by_entry, there) if settled or bool(there.wrong.any()) else (lines, comparison)


def _support(entries: Comparison, lines: Lines, comparison: Comparison) -> bool:
    """Whether all entries together side with the gradient along every direction that is wrong.

    A direction meets the kinks of all entries at once, each at a step of its own, and the estimate
    of its truncation may overlook some. What the entries add up to along it is a second measurement
    of the same slope: where the gradient is wrong by less than shows in an entry, that one too lies
    nearer to what was measured. An entry without a bound measures nothing.
    """
    if bool(entries.undecided.any()):
        return False
    slope = lines.products(entries.expected)
    nearer = (slope - comparison.got).abs() < (slope - comparison.expected).abs()
    return bool(nearer[comparison.wrong].all())
