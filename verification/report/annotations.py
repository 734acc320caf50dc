"""Failures as GitHub shows them beside the code: one line each, at the layer's source."""

import os
from collections.abc import Iterable, Iterator

from verification.report.summary import Cell
from verification.subjects.loading import Source


def wanted() -> bool:
    """Whether this is a job of GitHub Actions, which reads such lines from the output."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotation_lines(cells: Iterable[Cell], source: Source | None) -> Iterator[str]:
    """A workflow command for each failure of these cells; without a place where no source is."""
    place = ""
    if source is not None:
        file, line = source
        place = f"file={_escaped(os.path.relpath(file), ':,')},line={line},"
    for cell in cells:
        for failure in cell.failures:
            title = f"{cell.layer}: {cell.property.replace('_', ' ')}, {cell.dtype} {cell.device}"
            message = f"{failure.sentence}\n{failure.replay}".strip()
            yield f"::error {place}title={_escaped(title, ':,')}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
