"""A summary in lines for the terminal: what was found, and as plainly what was not exercised."""

from collections import defaultdict
from collections.abc import Iterator

from verification.report.baseline import baseline_lines
from verification.report.summary import Result, Summary
from verification.subjects.entry import DESCRIBED, TRUTH


def summary_lines(summary: Summary) -> Iterator[str]:
    """A table of the layers, the totals, what a baseline knew, and what was not exercised with its
    reason.
    """
    yield from _table(summary)
    yield totals_line(summary)
    yield from baseline_lines(summary)
    yield from not_exercised_lines(summary, short=True)


def _table(summary: Summary) -> Iterator[str]:
    width = max(len(layer) for layer in summary.layers())
    results = summary.possible_results()
    columns = [*results, "examples", "seconds"]
    yield f"{'layer':<{width}}" + "".join(f"  {name:>{max(8, len(name))}}" for name in columns)
    for layer in summary.layers():
        cells = [cell for cell in summary.cells if cell.layer == layer]
        numbers = [f"{sum(cell.result is result for cell in cells)}" for result in results]
        numbers.append(f"{sum(cell.examples for cell in cells)}")
        numbers.append(f"{sum(cell.seconds for cell in cells):.1f}")
        row = zip(columns, numbers, strict=True)
        yield f"{layer:<{width}}" + "".join(f"  {n:>{max(8, len(name))}}" for name, n in row)


def totals_line(summary: Summary) -> str:
    """Results, examples and their speed, and how many comparisons needed no tolerance."""
    results, counts = summary.results(), summary.counts()
    spent = sum(cell.seconds for cell in summary.cells)
    line = ", ".join(f"{results[result]} {result}" for result in Result if results[result])
    line += f"; {summary.examples:,} examples"
    if spent:
        line += f", {summary.examples / spent:.0f} a second of one core"
    if counts["entries compared"]:
        share = counts["entries exact"] / counts["entries compared"]
        line += f"; {counts['entries compared']:,} entries compared, {share:.0%} of them exactly"
    return line


def not_exercised_lines(summary: Summary, *, short: bool = False) -> Iterator[str]:
    """One line a reason; a device of which nothing was exercised comes first. The one layer of a
    check is named in its verdict.

    `short` counts what several layers lack, where a line for each would bury the rest.
    """
    cells = summary.of(Result.NOT_EXERCISED)
    layers = {*summary.layers(), *(pair.layer for pair in summary.not_applicable)}
    several = len(layers) > 1
    ran = {cell.device for cell in [*summary.of(Result.PASSED), *summary.of(Result.FAILED)]}
    for device in dict.fromkeys(cell.device for cell in cells if cell.device not in ran):
        reason = next(cell.reason for cell in cells if cell.device == device)
        yield f"{device}: not exercised ({reason})"
    grouped: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        if cell.device in ran:
            name = f"{cell.layer} {cell.property}" if several else cell.property
            grouped[cell.reason].append(f"{name} {cell.dtype}")
    counted = summary.not_applicable if short and several else ()
    for pair in () if counted else summary.not_applicable:
        name = f"{pair.layer} {pair.property}" if several else pair.property
        grouped[_why(pair.missing)].append(name)
    for reason, names in grouped.items():
        yield f"not exercised, {reason}: {_some(names)}"
    if counted:
        yield (
            f"not exercised, a layer lacks what a property needs: {len(counted)} pairs of the two,"
            " each with what it lacks in summary.json and on the page"
        )


def _why(missing: tuple[str, ...]) -> str:
    """What a property lacks; where it is meant for another sort of subject, that alone."""
    if DESCRIBED in missing:
        return "asked of functions known by their inputs alone"
    if TRUTH in missing:
        return "asked of layers of a known kind"
    return f"needs {', '.join(missing)}"


def _some(names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
