"""A summary as a Markdown page, for the job page of a CI."""

from collections import defaultdict
from collections.abc import Iterator

from verification.report.baseline import baseline_lines
from verification.report.summary import Cell, Result, Summary
from verification.report.terminal import not_exercised_lines, totals_line

MARKS = {
    Result.PASSED: "passed",
    Result.FAILED: "**FAILED**",
    Result.KNOWN: "known",
    Result.NOT_EXERCISED: "–",
    Result.NO_VERDICT: "**no verdict**",
}

IN_FULL = 20
"""Failures that are shown with their cases."""


def page(summary: Summary, verdict: str, smoke: str) -> Iterator[str]:
    """Verdict, failures, the matrix, what a baseline knew, what was not exercised, what the
    geometry reached.
    """
    yield f"# {verdict}"
    yield ""
    yield f"{totals_line(summary)}; {smoke}."
    yield from _failures(summary.of(Result.FAILED))
    yield from _matrix(summary)
    if summary.known:
        yield from _section("Baseline", baseline_lines(summary))
    lines = (line.removeprefix("not exercised, ") for line in not_exercised_lines(summary))
    yield from _section("Not exercised", lines)
    yield from _section("Where the time goes", _time(summary))
    yield from _section("Reached, in examples", _reach(summary))
    where = (f"{name} {value}" for name, value in summary.provenance.items())
    yield from _section("Where", where)


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from (f"- {line}" for line in lines)


def _failures(cells: list[Cell]) -> Iterator[str]:
    """The first ones in full, the others in a line each: a job's page takes no more than 1 MiB."""
    if cells:
        yield from ("", "## Failures")
    failures = [(cell, failure) for cell in cells for failure in cell.failures]
    for _, failure in failures[:IN_FULL]:
        yield from ("", "```text", failure.text or failure.sentence, "```")
    if len(failures) > IN_FULL:
        yield ""
    for cell, failure in failures[IN_FULL:]:
        where = f"{cell.layer}, {cell.property.replace('_', ' ')}, {cell.dtype} {cell.device}"
        yield f"- {where}: {failure.sentence}"


def _matrix(summary: Summary) -> Iterator[str]:
    """A row a layer and property, a column a device and dtype."""
    columns = list(dict.fromkeys((cell.device, cell.dtype) for cell in summary.cells))
    marks = {(c.layer, c.property, c.device, c.dtype): MARKS[c.result] for c in summary.cells}
    yield from ("", "## Matrix", "")
    yield "| layer | property | " + " | ".join(f"{d} {t}" for d, t in columns) + " |"
    yield "|---|---|" + "---|" * len(columns)
    for layer, name in dict.fromkeys((cell.layer, cell.property) for cell in summary.cells):
        row = [marks.get((layer, name, *column), "") for column in columns]
        yield f"| {layer} | {name.replace('_', ' ')} | {' | '.join(row)} |"


def _time(summary: Summary, most: int = 10) -> Iterator[str]:
    """The properties that take longest, over all layers."""
    seconds: dict[str, float] = defaultdict(float)
    examples: dict[str, int] = defaultdict(int)
    for cell in summary.cells:
        seconds[cell.property] += cell.seconds
        examples[cell.property] += cell.examples
    for name, spent in sorted(seconds.items(), key=lambda pair: -pair[1])[:most]:
        each = 1000 * spent / max(1, examples[name])
        yield f"{name.replace('_', ' ')}: {spent:.1f} s, {each:.1f} ms an example"


def _reach(summary: Summary) -> Iterator[str]:
    for layer in summary.layers():
        cells = ", ".join(f"{name} {count}" for name, count in sorted(summary.reach(layer).items()))
        yield f"{layer}: {cells or 'nothing was drawn'}"
