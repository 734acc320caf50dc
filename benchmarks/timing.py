"""Timing that a busy machine disturbs least: contestants take turns, and medians are compared."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

Contestants = Mapping[str, Callable[[], object]]


def take_turns(
    contestants: Contestants, seconds: float, turns: tuple[int, int] = (2, 100)
) -> dict[str, float]:
    """Run the contestants in turn and return each one's median in milliseconds.

    A turn is one call that does not count and three that do: a training calls one network again and
    again. A contestant's first call also fetches its data and code back from where the others drove
    them. Where each call was a turn, the order decided: 16 channels cost 1.63 or 1.52.

    With one thread the clock counts the processor time of this thread, which other programs do not
    stretch; with more, or on a device, it is the wall's. `seconds` is a contestant's share; the
    number of turns is at least the first of `turns` and at most the second.
    """
    # Asked once: asking takes 30 us, as long as some of what is timed.
    wait = torch.cuda.synchronize if torch.cuda.is_available() else None
    clock = time.thread_time if torch.get_num_threads() == 1 and not wait else time.perf_counter
    fewest, most = turns
    times: dict[str, list[float]] = {name: [] for name in contestants}
    end = time.perf_counter() + seconds * len(contestants)
    turn = 0
    while turn < fewest or (turn < most and time.perf_counter() < end):
        for name, contestant in contestants.items():
            contestant()
            for _ in range(3):
                if wait:
                    wait()
                start = clock()
                contestant()
                if wait:
                    wait()
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
