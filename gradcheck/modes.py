"""The other ways to a derivative: forward mode, and many cotangents at once under vmap.

Where a subject offers them they must give what backward gives. They are compared where backward was
found right, with the same numerical side and the same bounds.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradcheck.comparison import Agreement, Comparison, Point
from gradcheck.evaluation import flatten
from gradcheck.findings import mismatches_along
from gradcheck.lines import Lines, random_lines
from gradcheck.report import Mode, TensorReport
from gradcheck.transformable import Transformable


@dataclass(frozen=True)
class Modes:
    """Which modes were judged, and which are refused, each with what the subject raised."""

    judged: tuple[Mode, ...] = ()
    refused: tuple[str, ...] = ()


def offers_modes(point: Point) -> bool:
    """Whether there is another way than backward at all."""
    subject = point.question.subject
    return isinstance(subject, Transformable) and bool(subject.offers & {"jvp", "vmap"})


def compare_modes(backward: Agreement) -> tuple[Modes, dict[Mode, Comparison]]:
    """The same comparison for every mode that the subject offers."""
    point = backward.point
    judged: dict[Mode, Comparison] = {}
    refused = []
    offered = point.question.subject.offers if offers_modes(point) else frozenset()
    for mode, (offer, derivative) in _WAYS.items():
        if offer not in offered:
            continue
        try:
            with warnings.catch_warnings():
                # torch compiles its own formulas with what it has deprecated itself
                warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
                got = derivative(point, backward.name, backward.lines)
        except Exception as error:  # a formula that torch or the subject does not have
            refused.append(f"{mode}: {type(error).__name__}: {error}")
        else:
            judged[mode] = replace(backward.comparison, got=got)
    return Modes(tuple(judged), tuple(refused)), judged


def wrong_in(mode: Mode, point: Point, names: Sequence[str]) -> list[TensorReport]:
    """The tensors of ``names`` by which ``mode`` derives wrongly at ``point``, one by one."""
    reports = []
    for name in names:
        tensor = point.tensor(name)
        lines = random_lines(tensor, point.question.generator)
        here = point.compare(name, lines)
        _, by_mode = compare_modes(Agreement(point, name, lines, here))
        if mode not in by_mode or not bool(by_mode[mode].wrong.any()):
            continue
        reports.append(
            TensorReport(
                tensor=name,
                size=tensor.numel(),
                method="projection",
                comparisons=here.bound.numel(),
                undecided=int(here.undecided.sum()),
                mismatches=mismatches_along(name, lines, by_mode[mode]),
                entries=None,
                may_miss=point.question.may_miss,
                resolution=0.0,
                where="beside",
                mode=mode,
            )
        )
    return reports


def _forward_mode(point: Point, name: str, lines: Lines) -> Tensor:
    """<c, J d> from the outputs' derivatives along every line, [cotangents, lines]."""
    subject = point.question.subject
    if not isinstance(subject, Transformable):
        raise TypeError(f"{subject.name} has no forward mode")
    columns = [
        flatten(subject.jvp(point.inputs, point.parameters, {name: direction[0]}))
        for _, direction in lines.chunks(1)
    ]
    return point.weights @ torch.stack(columns).T


def _under_vmap(point: Point, name: str, lines: Lines) -> Tensor:
    """<g, d> from the gradients for all cotangents at once, [cotangents, lines]."""
    subject = point.question.subject
    if not isinstance(subject, Transformable):
        raise TypeError(f"{subject.name} has no gradients under vmap")
    cotangents = point.question.cotangents
    stacked = {n: torch.stack([c[n] for c in cotangents]) for n in cotangents[0]}
    gradients = subject.batched_vjp(point.inputs, point.parameters, stacked)[name]
    rows = [flatten({name: gradient}) for gradient in gradients]
    return lines.products(torch.stack(rows))


_WAYS: dict[Mode, tuple[str, Callable[[Point, str, Lines], Tensor]]] = {
    "forward mode": ("jvp", _forward_mode),
    "vmap": ("vmap", _under_vmap),
}
