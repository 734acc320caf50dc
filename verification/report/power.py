"""How many wrong layers the suite finds and how soon: the file that `python -m benchmarks power
--json FILE` writes, as a table.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OF_TORCH = "torch's own kinds"
"""Their faults are told by no sentence of their own: one row for all."""


@dataclass(frozen=True)
class Power:
    """command: by which it was measured. columns: what is told of each kind after its name. rows:
    by the kind, the last one for all.
    """

    command: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: Path) -> Power:
        """From the file; ValueError where there is none."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            faults = list(data["faults"].values())
            groups: dict[str, list[dict[str, Any]]] = {}
            for fault in faults:
                groups.setdefault(fault["kind"] if fault["shown"] else OF_TORCH, []).append(fault)
            others = tuple(faults[0]["others"])
            rows = {kind: _row(some, others) for kind, some in [*groups.items(), ("all", faults)]}
            columns = ("wrong layers", "found with every seed", "median", "most", *others)
            return cls(data["command"], columns, rows)
        except FileNotFoundError:
            raise ValueError(
                f"{path} is not there: run `python -m benchmarks power --json {path}` first"
            ) from None
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} holds no figures of power: {error!r}") from None


def _row(faults: Sequence[Mapping[str, Any]], others: Sequence[str]) -> tuple[str, ...]:
    found = [fault["examples"] for fault in faults if None not in fault["examples"]]
    examples = [number for numbers in found for number in numbers]
    return (
        str(len(faults)),
        str(len(found)),
        f"{statistics.median(examples):g}" if examples else "",
        str(max(examples, default="")),
        *(_found_by(other, faults) for other in others),
    )


def _found_by(other: str, faults: Sequence[Mapping[str, Any]]) -> str:
    asked = [fault["others"][other] for fault in faults if fault["others"][other] != "not asked"]
    return f"{asked.count('found')} of {len(asked)}" if asked else "not asked"
