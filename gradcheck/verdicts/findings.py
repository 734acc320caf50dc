"""From comparisons to what a report shows of them: mismatches, and whole gradients."""

import torch

from gradcheck.differences.lines import Lines
from gradcheck.reporting.patterns import Entries
from gradcheck.reporting.report import Method, Mismatch, Mode, TensorReport, Where
from gradcheck.rounding import HIDING
from gradcheck.verdicts.comparison import Comparison


def tensor_report(
    name: str,
    size: int,
    lines: Lines,
    comparison: Comparison,
    method: Method,
    may_miss: float,
    where: Where = "given",
    mode: Mode = "backward",
    unit: float = 1.0,
) -> TensorReport:
    """What a ``comparison`` along ``lines`` says of a tensor of that ``size``.

    ``unit`` is the length, in the tensor, of a step by 1 along the lines.
    """
    return TensorReport(
        tensor=name,
        size=size,
        method=method,
        comparisons=comparison.bound.numel(),
        undecided=comparison.bound.numel() - len(comparison.known),
        mismatches=_mismatches(name, lines, comparison),
        entries=_entries(lines, comparison),
        may_miss=may_miss,
        resolution=HIDING * comparison.coarsest / unit,
        where=where,
        mode=mode,
    )


def _entries(lines: Lines, comparison: Comparison) -> Entries | None:
    """The whole gradient of the cotangent for which most entries are wrong, if all are known."""
    every = lines.dense is None and len(lines) == lines.shape.numel()
    if not every or not comparison.any_wrong:
        return None
    row = int(comparison.wrong.sum(1).argmax())
    parts = (comparison.expected, comparison.got, comparison.bound)
    return Entries(*(part[row].reshape(lines.shape) for part in parts))


def _mismatches(name: str, lines: Lines, comparison: Comparison) -> tuple[Mismatch, ...]:
    """One mismatch for every wrong line, that of the cotangent with the largest difference."""
    if not comparison.any_wrong:
        return ()
    difference = (comparison.got - comparison.expected).abs().nan_to_num(torch.inf)
    size, cotangent = torch.where(comparison.wrong, difference, -1.0).max(0)
    order = size.argsort(descending=True, stable=True)
    return tuple(
        Mismatch(
            tensor=name,
            entry=lines.label(line),
            expected=comparison.expected[row, line].item(),
            got=comparison.got[row, line].item(),
            bound=comparison.bound[row, line].item(),
        )
        for line in order[size[order] >= 0].tolist()
        for row in (int(cotangent[line]),)
    )
