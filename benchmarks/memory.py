"""Peak memory of one forward and backward of Conv2d, beyond input and cotangent, measured.

A process of its own for every figure: it warms up on a small picture, resets the kernel's record of
its largest resident size (Linux), runs once and reads the record.
"""

import multiprocessing
from pathlib import Path
from typing import Any

import torch

from benchmarks.tables import show as show_table

SIZES = ((100, 8, 32), (100, 16, 32), (100, 64, 32), (10, 32, 128))
SIDES = ("ours", "torch.nn", "the report's way")


def measure() -> list[dict[str, Any]]:
    """For every size and side the extra MiB at the peak, and as multiples of the input's size."""
    if not Path("/proc/self/clear_refs").exists():
        return []
    entries = []
    for samples, channels, size in SIZES:
        entry: dict[str, Any] = {"samples": samples, "channels": channels, "size": size}
        for side in SIDES:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                extra = pool.apply(_peak, (side, samples, channels, size))
            entry[side] = extra / (samples * channels * size * size * 4)
        entries.append(entry)
    return entries


def _peak(side: str, samples: int, channels: int, size: int) -> int:
    """Bytes that one forward and backward held at most, with their results."""
    from benchmarks.contests import convolution

    torch.set_num_threads(1)
    convolution(2, channels, size=16, padding=1)[side]()
    run = convolution(samples, channels, size=size, padding=1, check=False)[side]
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    run()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    """A line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no line {field}")


def show(result: dict[str, Any]) -> None:
    """Peak extra memory as multiples of the input."""
    show_table(
        "Peak extra memory of Conv2d 3 x 3, in inputs (must: torch.nn's, goal: 3)",
        ("N, C, size", *SIDES),
        (
            (
                f"{entry['samples']}, {entry['channels']}, {entry['size']}",
                *(f"{entry[side]:.1f}" for side in SIDES),
            )
            for entry in result["memory"]
        ),
    )
