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


def estimate(scores: Sequence[Score], sizes: Mapping[str, int]) -> tuple[float, float]:
    """The share that is killed of all mutants but the equivalent ones, from a sample of each file,
    and half a 95 % interval (W. Cochran, *Sampling Techniques*, section 5.6: strata of `sizes`,
    with the variance of all files together, since a few mutants of one tell nothing of its own).
    """
    judged = [s for s in scores if s.killed or s.unexplained]
    weights, shares, parts = [], [], []
    for score in judged:
        told = len(score.killed) + len(score.unexplained)
        sampled = told + len(score.equivalent)
        weights.append(sizes[score.file] * told / sampled)
        shares.append(len(score.killed) / told)
        parts.append((1 - sampled / sizes[score.file]) / told)
    total = sum(weights)
    share = sum(w * s for w, s in zip(weights, shares, strict=True)) / total
    scatter = sum((w / total) ** 2 * part for w, part in zip(weights, parts, strict=True))
    return share, 1.96 * (share * (1 - share) * scatter) ** 0.5


def table(scores: Sequence[Score]) -> Table:
    """A line a file."""
    shown = Table("file", "mutants", "killed", "equivalent", "survivors")
    for score in scores:
        counts = [len(score.killed), len(score.equivalent), len(score.unexplained)]
        shown.add_row(score.file, str(sum(counts)), *map(str, counts))
    return shown
