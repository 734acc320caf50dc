"""The other ways to a derivative: forward mode, and many cotangents at once under vmap.

Where a subject offers them they must give what backward gives. They are compared where backward was
found right, with the same numerical side and the same bounds.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradcheck.differences.evaluation import as_double, flatten
from gradcheck.differences.lines import along, random_lines
from gradcheck.reporting.report import Mode, TensorReport
from gradcheck.subjects.protocol import Tensors, transformable
from gradcheck.verdicts.comparison import Comparison
from gradcheck.verdicts.findings import tensor_report
from gradcheck.verdicts.points import Agreement, Point


@dataclass(frozen=True)
class Judged:
    """Which modes were judged, which are refused and why, and what is wrong."""

    modes: tuple[Mode, ...] = ()
    refused: tuple[str, ...] = ()
    wrong: tuple[TensorReport, ...] = ()


def not_judged(point: Point) -> Judged:
    """What is said where the given cotangents or bounds leave no room for other modes."""
    offers = point.question.subject.offers
    return Judged(
        refused=tuple(
            f"{mode}: judged only without given cotangents and error bounds: leave them out"
            for mode, (offer, _) in _WAYS.items()
            if offer in offers
        )
    )


def judge_modes(agreements: Sequence[Agreement], beside: Callable[[], Point]) -> Judged:
    """Every mode that the subject offers, against what backward agreed with.

    What is wrong along lines through several tensors is looked for in each of them at the point
    ``beside``.
    """
    modes: dict[Mode, None] = {}
    refused: dict[str, None] = {}
    wrong: list[TensorReport] = []
    for agreement in agreements:
        judged, raised = _compare(agreement)
        modes |= dict.fromkeys(judged)
        refused |= dict.fromkeys(raised)
        for mode, comparison in judged.items():
            if not comparison.any_wrong:
                continue
            apart = _apart(mode, beside()) if len(agreement.steps) > 1 else []
            wrong += apart or [_report(mode, replace(agreement, comparison=comparison))]
    return Judged(tuple(modes), tuple(refused), tuple(wrong))


def _compare(backward: Agreement) -> tuple[dict[Mode, Comparison], list[str]]:
    """The same comparison for every mode that is offered, and what the others raised."""
    point = backward.point
    judged: dict[Mode, Comparison] = {}
    refused: list[str] = []
    if not backward.comparison.got.numel():
        return judged, refused  # nothing goes in: there is no line to go along
    for mode, (offer, derivative) in _WAYS.items():
        if offer not in point.question.subject.offers:
            continue
        try:
            with warnings.catch_warnings():
                # torch compiles its own formulas with what it has deprecated itself
                warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
                got = derivative(point, backward.steps)
        except Exception as error:  # a formula that torch or the subject does not have
            refused.append(f"{mode}: {type(error).__name__}: {error}")
        else:
            judged[mode] = replace(backward.comparison, got=got)
    return judged, refused


def _apart(mode: Mode, point: Point) -> list[TensorReport]:
    """The tensors by which ``mode`` derives wrongly at ``point``, one by one."""
    reports = []
    for name in point.gradients[0]:
        lines = random_lines(point.tensor(name), point.question.generator)
        steps = {name: lines.directions}
        here = Agreement(point, steps, point.compare(name, lines), "beside")
        judged, _ = _compare(here)
        if mode in judged and judged[mode].any_wrong:
            reports.append(_report(mode, replace(here, comparison=judged[mode])))
    return reports


def _report(mode: Mode, wrong: Agreement) -> TensorReport:
    name = next(iter(wrong.steps)) if len(wrong.steps) == 1 else "all tensors"
    return tensor_report(
        name,
        sum(wrong.point.tensor(moved).numel() for moved in wrong.steps),
        along(next(iter(wrong.steps.values()))),
        wrong.comparison,
        "projection",
        wrong.point.question.may_miss,
        wrong.where,
        mode,
    )


def _forward_mode(point: Point, steps: Tensors) -> Tensor:
    """<c, J d> from the outputs' derivatives along every line, [cotangents, lines]."""
    subject = transformable(point.question.subject)
    columns = []
    for line in zip(*steps.values(), strict=True):
        along_it = subject.jvp(point.inputs, point.parameters, dict(zip(steps, line, strict=True)))
        point.question.progress.called()
        columns.append(flatten(along_it))
    return point.weights @ torch.stack(columns).T


def _under_vmap(point: Point, steps: Tensors) -> Tensor:
    """<g, d> from the gradients for all cotangents at once, [cotangents, lines]."""
    subject = transformable(point.question.subject)
    cotangents = point.question.cotangents
    stacked = {n: torch.stack([c[n] for c in cotangents]) for n in cotangents[0]}
    gradients = subject.batched_vjp(point.inputs, point.parameters, stacked)
    point.question.progress.called()
    products = []
    for name, its in steps.items():
        rows = as_double(gradients[name]).reshape(len(cotangents), -1)
        products.append(rows @ as_double(its).reshape(len(its), -1).T)
    return torch.stack(products).sum(0)


_WAYS: dict[Mode, tuple[str, Callable[[Point, Tensors], Tensor]]] = {
    "forward mode": ("jvp", _forward_mode),
    "vmap": ("vmap", _under_vmap),
}
