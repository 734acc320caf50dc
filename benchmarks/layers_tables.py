"""The tables of docs/performance.md from what `python -m benchmarks layers --json FILE` wrote.

python -m benchmarks.layers_tables FILE prints those that the file has.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import growth, limits, memory, report_tables, shares
from benchmarks.tables import show
from benchmarks.timing import summary


def show_all(result: dict[str, Any]) -> None:
    """Every table: the speed of layers once for each number of threads and device."""
    for where in dict.fromkeys(cell["where"] for cell in result["cells"]):
        columns = ("work", "torch.nn, ms", "ours / torch.nn", "quartiles", "must", "goal")
        title = f"Ours / torch.nn with autograd, {where}, {result['machine']['processor']}"
        show(title, (*columns, "other ways / torch.nn"), _speed(result["cells"], where))
    if "tables" in result:
        for table in (limits, shares, report_tables, memory, growth):
            table.show(result)


def _speed(cells: list[dict[str, Any]], where: str) -> Iterator[tuple[object, ...]]:
    """Ratios below 1 are faster than torch.nn; those above their aim are marked."""
    for cell in cells:
        if cell["where"] != where:
            continue
        ratio, must = cell["ratio"], cell["must"]
        others = [f"{side} {r['median']:.2f}" for side, r in cell["other_ratios"].items()]
        yield (
            cell["name"].removesuffix(f", {where}"),
            f"{summary(cell['milliseconds']['torch.nn'])['median']:.3g}",
            f"{ratio['median']:.2f}{'' if ratio['median'] <= must else ', misses'}",
            f"{ratio['low']:.2f}–{ratio['high']:.2f}",
            must,
            cell["goal"],
            ", ".join(others),
        )


if __name__ == "__main__":
    show_all(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
