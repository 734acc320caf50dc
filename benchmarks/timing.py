"""Timing that a busy machine disturbs least: contestants take turns, and medians are compared."""

import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

Contestants = Mapping[str, Callable[[], object]]


def take_turns(
    contestants: Contestants, seconds: float, repetitions: tuple[int, int] = (5, 300)
) -> dict[str, float]:
    """Run the contestants in turn and return each one's median in milliseconds.

    Every turn has an order of its own. In a fixed one the same contestant always follows the one
    that leaves least of its data in the cache, which made 16 channels cost 1.63 instead of 1.52.

    With one thread the clock counts the processor time of this thread, which other programs do not
    stretch; with more, or on a device, it is the wall's. `seconds` is a contestant's share, and the
    number of turns stays between the two `repetitions`, after two turns that do not count.
    """
    # Asked once: asking takes 30 us, as long as some of what is timed.
    wait = torch.cuda.synchronize if torch.cuda.is_available() else None
    clock = time.thread_time if torch.get_num_threads() == 1 and not wait else time.perf_counter
    fewest, most = repetitions
    times: dict[str, list[float]] = {name: [] for name in contestants}
    order, draw = list(contestants.items()), random.Random(0)
    end = time.perf_counter() + seconds * len(contestants)
    turn = -min(2, fewest - 1)
    while turn < fewest or (turn < most and time.perf_counter() < end):
        draw.shuffle(order)
        for name, contestant in order:
            if wait:
                wait()
            start = clock()
            contestant()
            if wait:
                wait()
            if turn >= 0:
                times[name].append(1e3 * (clock() - start))
        turn += 1
    return {name: statistics.median(taken) for name, taken in times.items()}


def summary(values: list[float]) -> dict[str, Any]:
    """The median and the quartiles of one number a process, and all of them."""
    low, median, high = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * values
    )
    return {"median": median, "low": low, "high": high, "all": values}


def machine() -> dict[str, Any]:
    """What the figures depend on, for the file."""
    return {
        "processor": _processor(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "mkl": torch.backends.mkl.is_available(),
        "onednn": torch.backends.mkldnn.is_available(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii") as lines:
            fields = dict(line.split("\t:", 1) for line in lines if "\t:" in line)
        return f"{fields['model name'].strip()}, family {fields.get('cpu family', '').strip()}"
    except (OSError, KeyError):
        return platform.processor()
