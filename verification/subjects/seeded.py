"""torch's random generators set to a seed, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's generators, the devices' too, as after torch.manual_seed(seed).

    That function itself writes a traceback down for every device that has not been used yet, which
    takes longer than most calls of a layer.
    """
    devices = range(len(torch.cuda.default_generators))  # none where CUDA has not been used yet
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield
