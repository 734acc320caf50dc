"""The verdict on one tensor's gradient: cheap lines first, entries to name what is wrong."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from gradcheck.differences.classes import GRID, Basis
from gradcheck.differences.evaluation import CHUNK_ELEMENTS, PointError
from gradcheck.differences.lines import (
    Lines,
    along,
    along_entries,
    bits_and_count,
    line_bits,
    miss_probability,
    random_lines,
)
from gradcheck.reporting.report import Method, TensorReport
from gradcheck.verdicts.comparison import Comparison
from gradcheck.verdicts.exactness import (
    ExactPoint,
    NotExact,
    agrees_exactly,
    exact_bits_and_count,
    exact_lines,
    exact_point,
    packed_lines,
)
from gradcheck.verdicts.findings import tensor_report
from gradcheck.verdicts.first_look import Look, first_look, look_ahead
from gradcheck.verdicts.modes import Judged, judge_modes, not_judged
from gradcheck.verdicts.nearby import confirmed, neighbour
from gradcheck.verdicts.points import Agreement, Point
from gradcheck.verdicts.projections import locate

_FEW_ENTRIES = 8  # up to here entries cost about as many calls as directions
_SMALL_TABLE = CHUNK_ELEMENTS // 3  # up to here all entries share one quick call
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
    look = first_look(point, names, generator)
    verdicts: list[Verdict] | None = None
    agreements: list[Agreement] = []
    if exactly and look is not None and look.straight:
        verdicts, agreements = _judge_exactly(point, names, method, generator)
        if not look.fit and verdicts and not any(report.mismatches for report, _ in verdicts):
            verdicts, agreements = None, []  # right there, and perhaps not here
    if verdicts is None:
        by_entry = method == "full" or (method == "auto" and _hides_in_sums(point, names))
        agreement = None if look is None else look.agreement
        if agreement is not None and not by_entry:
            verdicts = [_simply_right(agreement, name) for name in names]
        else:
            used = {name: _cheaper(point, name) if method == "auto" else method for name in names}
            verdicts = [_judge(point, name, used[name], generator) for name in names]
        if look_elsewhere and not any(report.mismatches for report, _ in verdicts):
            agreements = _look_elsewhere(point, verdicts, look, generator)
    elif any(report.mismatches for report, _ in verdicts):
        return [_shown_here(point, v, method, generator) for v in verdicts], Judged()
    if not look_elsewhere:
        return verdicts, not_judged(point)
    judged = judge_modes(agreements, lambda: neighbour(point, generator))
    wrong = {report.tensor: report for report in judged.wrong}
    basis = verdicts[0][1]
    replaced = [(wrong.pop(report.tensor, report), its) for report, its in verdicts]
    return replaced + [(report, basis) for report in wrong.values()], judged


def _simply_right(agreed: Agreement, name: str) -> Verdict:
    """The verdict on one of the tensors that agree along one line through all."""
    point, comparison = agreed.point, agreed.comparison
    tensor = point.tensor(name)
    missed = point.question.may_miss + miss_probability(line_bits(tensor.dtype), 1)
    report = tensor_report(
        name,
        tensor.numel(),
        along(agreed.steps[name]),
        comparison,
        "projection",
        missed,
        unit=point.unit(name),
    )
    return report, comparison.basis


def _shown_here(
    point: Point, verdict: Verdict, method: Literal["auto", Method], generator: torch.Generator
) -> Verdict:
    """A verdict at integers, or that at the point that was asked about if it shows the same."""
    if not verdict[0].mismatches:
        return verdict
    name = verdict[0].tensor
    here = _judge(point, name, _cheaper(point, name) if method == "auto" else method, generator)
    return here if here[0].mismatches else verdict


def _look_elsewhere(
    point: Point, verdicts: list[Verdict], look: Look | None, generator: torch.Generator
) -> list[Agreement]:
    """Replace verdicts by those at another point, where gradients are wrong there.

    A backward that kept something of its first call is right only at that call's point. The other
    point lies on the line that the ``look`` went along, if all agreed there.
    """
    names = [report.tensor for report, _ in verdicts]
    if look is not None and look.agreement is not None:
        ahead = look_ahead(point, look)
        if ahead is not None:
            return [ahead]
    beside = neighbour(point, generator)
    look = first_look(beside, names, generator)
    if look is not None and look.agreement is not None:
        return [look.agreement]
    agreements = []
    for place, name in enumerate(names):
        report, lines, comparison = _judge_at(beside, name, "projection", generator)
        if report.mismatches:
            verdicts[place] = replace(report, where="beside"), comparison.basis
        steps = {name: lines.directions}
        agreements.append(Agreement(beside, steps, comparison, "beside"))
    return [] if any(report.mismatches for report, _ in verdicts) else agreements


def _judge_exactly(
    point: Point,
    names: Sequence[str],
    method: Literal["auto", Method],
    generator: torch.Generator,
) -> tuple[list[Verdict] | None, list[Agreement]]:
    """Verdicts where nothing is rounded, and what agreed; None if something turns out to be."""
    by_entry = method == "full" or (method == "auto" and _hides_in_sums(point, names))
    exact = exact_point(point, names, with_units=by_entry)
    if exact is None:
        return None, []
    agreed = None if by_entry else agrees_exactly(exact, names)
    if agreed is not None:
        return [_exactly_right(exact, name, agreed) for name in names], [agreed]
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
    if not comparison.any_wrong:
        agreed = Agreement(exact, {name: random.directions}, comparison, "integers")
    packed = _packed(exact, name) if entries and agreed else None
    if packed is not None:
        lines, comparison = packed
    elif entries:
        lines = along_entries(tensor)
        comparison = exact.compare(name, lines)
    elif agreed is None:
        lines, comparison = _by_entry(exact, name, lines, comparison)
    hidden = miss_probability(*exact_bits_and_count(exact.dtype))  # from the cotangents
    report = tensor_report(
        name,
        tensor.numel(),
        lines,
        comparison,
        "full" if entries or len(lines) == tensor.numel() else "projection",
        may_miss=hidden if entries else 2 * hidden,
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
    return None if comparison.any_wrong else (lines, comparison)


def _exactly_right(point: ExactPoint, name: str, agreed: Agreement) -> Verdict:
    """The verdict on one of several tensors whose directions were compared together."""
    tensor, comparison = point.tensor(name), agreed.comparison
    missed = 2 * miss_probability(*exact_bits_and_count(tensor.dtype))
    lines = along(agreed.steps[name])
    report = tensor_report(
        name, tensor.numel(), lines, comparison, "projection", missed, "integers"
    )
    return report, comparison.basis


def _may_miss(point: Point, name: str, method: Method) -> float:
    """How often, at most, a wrong gradient hides from the cotangents and from random directions."""
    directions = miss_probability(*bits_and_count(point.tensor(name).dtype))
    return point.question.may_miss + (directions if method == "projection" else 0.0)


def _judge(point: Point, name: str, method: Method, generator: torch.Generator) -> Verdict:
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
    point: Point, name: str, method: Method, generator: torch.Generator
) -> tuple[TensorReport, Lines, Comparison]:
    tensor = point.tensor(name)
    lines = random_lines(tensor, generator)
    if method == "full" or tensor.numel() <= len(lines):
        method, lines = "full", along_entries(tensor)
    comparison = point.compare(name, lines)
    missed = _may_miss(point, name, method)
    if method == "projection" and comparison.any_wrong:
        lines, comparison = _by_entry(point, name, lines, comparison)
        method = "full" if len(lines) == tensor.numel() else method
    comparison = _confirm(point, name, lines, comparison, generator)
    report = tensor_report(name, tensor.numel(), lines, comparison, method, missed)
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
            again = confirmed(point.in_doubt(), name, lines.where(chosen), generator)
            comparison = comparison.replaced(chosen, again)
            if bool(again.wrong.any(0).all()):
                break
    return comparison


def _cheaper(point: Point, name: str) -> Method:
    entries, outputs = point.tensor(name).numel(), point.weights.shape[1]
    if entries <= _FEW_ENTRIES:
        return "full"
    small = len(GRID) * entries * (entries + outputs) <= _SMALL_TABLE
    return "full" if small and point.prepare(name).shares_calls(name) else "projection"


def _by_entry(
    point: Point, name: str, lines: Lines, comparison: Comparison
) -> tuple[Lines, Comparison]:
    """The wrong entries behind wrong directions; the directions themselves if none is found."""
    tensor = point.tensor(name)
    entries: Tensor | None = None
    if tensor.numel() > _ENTRIES_TO_LIST:
        (direction,) = lines.where(comparison.wrong.any(0)).directions[:1]

        def is_wrong(trial: Tensor) -> bool:
            return bool(point.compare(name, along(trial[None])).wrong.any())

        found = locate(is_wrong, direction)
        if found is None:
            return lines, comparison
        entries = torch.tensor([found])
    by_entry = along_entries(tensor, entries)
    there = point.compare(name, by_entry)
    return (by_entry, there) if there.any_wrong else (lines, comparison)
