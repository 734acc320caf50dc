"""The entries that were compared, side by side: got, expected, their difference, the bound."""

from collections.abc import Iterator

from verification.trials.discrepancy import Compared

ROWS = 8
"""Entries that are shown, the worst first."""

COLUMNS = ("entry", "got", "expected", "difference", "bound")


def comparison_lines(compared: Compared) -> Iterator[str]:
    """A table of the worst entries."""
    table = [COLUMNS, *_rows(compared)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    for row in table:
        cells = zip(row[1:], widths[1:], strict=True)
        yield f"{row[0]:<{widths[0]}}" + "".join(f"  {text:>{width}}" for text, width in cells)
    left = len(compared.places) - ROWS
    if left > 0:
        yield f"and {left} more"


def _rows(compared: Compared) -> Iterator[tuple[str, ...]]:
    entries = zip(compared.places, compared.got, compared.expected, compared.bound, strict=True)
    for flat, got, expected, bound in list(entries)[:ROWS]:
        numbers = (f"{got:.9g}", f"{expected:.9g}", f"{got - expected:.3g}", f"{bound:.2g}")
        yield place(flat, compared.shape), *numbers


def place(flat: int, shape: tuple[int, ...]) -> str:
    """The index of an element by its row-major number: 5 of a 2x3 tensor is [1,2]."""
    index: list[str] = []
    for size in reversed(shape):
        flat, along = divmod(flat, size)
        index.insert(0, str(along))
    return f"[{','.join(index)}]"
