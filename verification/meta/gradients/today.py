"""What gradcheck is today, in figures: no bound becomes wider or narrower unseen, no check dearer.

A wider bound hides faults, a narrower one was argued by nobody, and more calls take longer. Whoever
changes one of them for a reason writes the new figures down, where the difference shows what was
changed: `python -m verification.meta.gradients`. The functions are sums, products and
quotients, no library's sine, so that they give the same bits on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from verification.meta.gradients import checks, estimates
from verification.meta.gradients.promise import Promise, holds

KEPT = Path(__file__).with_name("today.json")

CLOSE = 0.05
"""Bits by which a figure may depart: two decimals, and sums in another order, which move estimated
noise by 0.03 where torch uses no AVX."""


def _measures() -> Iterator[tuple[str, Callable[[], object]]]:
    for name, estimated in estimates.ASKED.items():
        yield f"estimate: {name}", partial(estimates.measured, estimated)
    for name, checked in checks.ASKED.items():
        yield f"check: {name}", partial(checks.measured, checked)


MEASURES = dict(_measures())


def _plain(figures: object) -> object:
    """As they are kept."""
    if isinstance(figures, tuple | list):
        return [_plain(figure) for figure in figures]
    return round(figures, 2) if isinstance(figures, float) else figures


@cache
def _kept() -> dict[str, object]:
    found: dict[str, object] = json.loads(KEPT.read_text(encoding="utf-8"))
    return found


def _departs(name: str) -> str:
    got, kept = _plain(MEASURES[name]()), _kept()[name]
    return (
        ""
        if _close(got, kept)
        else f"{got}, and no longer {kept}; if that is meant: python -m {__package__}"
    )


def _close(got: object, kept: object) -> bool:
    if isinstance(got, list) and isinstance(kept, list):
        return len(got) == len(kept) and all(map(_close, got, kept))
    if isinstance(got, float) and isinstance(kept, float):
        return abs(got - kept) <= CLOSE
    return got == kept


def _promises() -> Iterator[Promise]:
    for name in MEASURES:
        yield holds(f"today: {name}", partial(_departs, name))


PROMISES = tuple(_promises())


def write() -> None:
    """Keep the figures as they are now, one line for each."""
    rows = (f"  {json.dumps(name)}: {json.dumps(_plain(m()))}" for name, m in MEASURES.items())
    KEPT.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
