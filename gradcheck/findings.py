"""From comparisons to what a report shows of them: mismatches, and whole gradients."""

import torch
from torch import Tensor

from gradcheck.comparison import Comparison
from gradcheck.lines import Lines
from gradcheck.patterns import Entries
from gradcheck.report import Mismatch


def entries_along(tensor: Tensor, lines: Lines, comparison: Comparison) -> Entries | None:
    """The whole gradient of the cotangent for which most entries are wrong, if all are known."""
    if lines.dense is not None or len(lines) < tensor.numel() or not bool(comparison.wrong.any()):
        return None
    row = int(comparison.wrong.sum(1).argmax())
    parts = (comparison.expected, comparison.got, comparison.bound)
    return Entries(*(part[row].reshape(tensor.shape) for part in parts))


def mismatches_along(name: str, lines: Lines, comparison: Comparison) -> tuple[Mismatch, ...]:
    """One mismatch for every wrong line, that of the cotangent with the largest difference."""
    if not bool(comparison.wrong.any()):
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
