"""The page: everything of a run in one file that needs no network and no other file."""

import base64
import functools
import math
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from verification.report.baseline import baseline_lines
from verification.report.pictures import Picture, pictures
from verification.report.power import Power
from verification.report.summary import Cell, Failure, Result, Summary
from verification.report.terminal import not_exercised_lines, totals_line

MARKS = {
    Result.PASSED: "✓",
    Result.FAILED: "✗",
    Result.KNOWN: "≈",
    Result.NOT_EXERCISED: "–",
    Result.NO_VERDICT: "?",
}
"""A result is told by its sign, and never by its colour alone."""

OPEN = 3
"""Groups of failures that are unfolded from the beginning; many have one cause."""


def html(summary: Summary, verdict: str, smoke: str, images: Path, power: Power | None) -> str:
    """The page's text; `images` is a folder whose PNG files are put into it, if there is one."""
    return str(
        _template().render(
            verdict=verdict,
            totals=totals_line(summary),
            smoke=smoke,
            marks={result.value: MARKS[result] for result in Result if summary.of(result)},
            layers=summary.layers(),
            spent={layer: _spent(summary, layer) for layer in summary.layers()},
            rows=list(_rows(summary)),
            columns=list(dict.fromkeys(f"{c.device} {c.dtype}" for c in summary.cells)),
            failures=list(_failures(summary)),
            baseline=list(baseline_lines(summary)),
            not_exercised=list(not_exercised_lines(summary)),
            reach=list(_reach(summary)),
            power=power,
            images=list(_images(images)),
            provenance=dict(summary.provenance),
        )
    )


@functools.cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    source = resources.files("verification.report").joinpath("page.html.j2").read_text()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source)


def _spent(summary: Summary, layer: str) -> dict[str, float]:
    cells = [cell for cell in summary.cells if cell.layer == layer]
    return {
        "examples": sum(cell.examples for cell in cells),
        "seconds": sum(cell.seconds for cell in cells),
    }


def _rows(summary: Summary) -> Iterator[dict[str, Any]]:
    """One row a property: for every layer, its cells."""
    by_property: dict[str, dict[str, list[Cell]]] = {}
    for cell in summary.cells:
        by_property.setdefault(cell.property, {}).setdefault(cell.layer, []).append(cell)
    for name, by_layer in by_property.items():
        results = {cell.result for cells in by_layer.values() for cell in cells}
        yield {
            "property": name.replace("_", " "),
            "results": " ".join(sorted(result.value.replace(" ", "-") for result in results)),
            "cells": [by_layer.get(layer, []) for layer in summary.layers()],
        }


def _failures(summary: Summary) -> Iterator[dict[str, Any]]:
    """One group for a layer and property: its failures on several dtypes often have one cause."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in summary.of(Result.FAILED):
        groups.setdefault((cell.layer, cell.property), []).append(cell)
    for number, ((layer, name), cells) in enumerate(groups.items()):
        yield {
            "title": f"{layer}, {name.replace('_', ' ')}",
            "where": ", ".join(f"{cell.dtype} {cell.device}" for cell in cells),
            "open": number < OPEN,
            "items": [
                {
                    "cell": cell,
                    "failure": failure,
                    # The command has a line of its own, and a button.
                    "text": failure.text.removesuffix(f"\n  replay: {failure.replay}"),
                    "pictures": list(_pictures(failure)),
                }
                for cell in cells
                for failure in cell.failures
            ],
        }


def _pictures(failure: Failure) -> Iterator[Picture]:
    if failure.compared is not None:
        yield from pictures(failure.compared)


def _reach(summary: Summary) -> Iterator[dict[str, Any]]:
    """One row a cell of the geometry: for every layer, its examples and how strong they are."""
    counts = [summary.reach(layer) for layer in summary.layers()]
    for name in sorted(set().union(*counts)):
        numbers = [count[name] for count in counts]
        # Logarithmic: one example is far more than none, a thousand little more than a hundred.
        yield {"cell": name, "numbers": [(n, min(1.0, math.log10(n + 1) / 4)) for n in numbers]}


def _images(folder: Path) -> Iterator[tuple[str, str]]:
    """The name and the data of every PNG file in a folder."""
    for path in sorted(folder.glob("*.png")):
        yield path.stem, base64.b64encode(path.read_bytes()).decode()
