"""The score of a file, and the survivors that are no faults: what they change cannot be seen."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from verification.meta.mutants.changes import Key, Mutant

ARGUED = Path(__file__).with_name("equivalent.toml")


def read_argued(path: Path = ARGUED) -> dict[Key, str]:
    """The reason for every mutant that is argued to be equivalent."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["equivalent"]
    return {
        (row["file"], row["line"], change): row["reason"]
        for row in rows
        for change in row["changes"]
    }


@dataclass(frozen=True)
class Score:
    """The mutants of one file by what became of them; `equivalent` are argued survivors."""

    file: str
    killed: tuple[Mutant, ...]
    equivalent: tuple[Mutant, ...]
    unexplained: tuple[Mutant, ...]

    @classmethod
    def of(cls, file: str, outcomes: Mapping[Mutant, str]) -> Score:
        """A mutant that ran past its time is killed: no suite that hangs is green."""
        argued = read_argued()
        survivors = [m for m, outcome in outcomes.items() if outcome != "killed"]
        return cls(
            file,
            tuple(m for m in outcomes if m not in survivors),
            tuple(m for m in survivors if m.key in argued),
            tuple(m for m in survivors if m.key not in argued),
        )


def table(scores: Sequence[Score]) -> Table:
    """A line a file."""
    shown = Table("file", "mutants", "killed", "equivalent", "survivors")
    for score in scores:
        counts = [len(score.killed), len(score.equivalent), len(score.unexplained)]
        shown.add_row(score.file, str(sum(counts)), *map(str, counts))
    return shown
