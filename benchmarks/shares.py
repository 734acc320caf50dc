"""Where our side's time goes below autograd: products, numbers moved, and everything else.

What products and moves take together, as a part of torch.nn's time, is what a layer of matrix
products cannot go below.
"""

import statistics
import time
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.contests import contests
from benchmarks.tables import show as show_table
from benchmarks.timing import summary

PRODUCTS = {"bmm", "mm", "_linear_pointwise"}
MOVES = {"copy_", "clone", "cat", "index_select", "index_copy_", "index_add_"}
ROUNDS = 10


class Clocked(TorchDispatchMode):
    """Adds up the processor time of every operation by its kind, in milliseconds, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), more: Any = None
    ) -> Any:
        start = time.thread_time()
        result = operation(*args, **(more or {}))
        taken = 1e3 * (time.thread_time() - start)
        name = operation.overloadpacket.__name__
        kind = "products" if name in PRODUCTS else "moves" if name in MOVES else "rest"
        self.found[kind] += taken
        self.found["calls"] += 1
        return result


def measure() -> dict[str, dict[str, float]]:
    """For every line of the speed table the medians of our side's parts, one thread."""
    torch.set_num_threads(1)
    shares = {}
    for contest in contests():
        ours, rounds = contest.build()["ours"], []
        for _ in range(ROUNDS):
            ours()
            with Clocked() as clocked:
                ours()
            rounds.append(clocked.found)
        shares[contest.key] = {
            kind: statistics.median(found[kind] for found in rounds)
            for kind in ("products", "moves", "rest", "calls")
        }
    return shares


def show(result: dict[str, Any]) -> None:
    """Each part as a multiple of torch.nn's whole time."""
    rows = []
    for cell in result["cells"]:
        if cell["where"] != "threads 1, cpu":
            continue
        work = cell["name"].removesuffix(f", {cell['where']}")
        parts = result["shares"][work]
        whole = summary(cell["milliseconds"]["torch.nn"])["median"]
        taken = (f"{parts[kind] / whole:.2f}" for kind in ("products", "moves", "rest"))
        rows.append((work, *taken, f"{parts['calls']:.0f}"))
    title = "Where our time goes, in torch.nn's whole time, one thread"
    show_table(title, ("work", "products", "moves", "rest", "calls"), rows)
