"""From a random direction that shows an error to the entry that is wrong."""

from collections.abc import Callable

import torch
from torch import Tensor


def locate(is_wrong: Callable[[Tensor], bool], direction: Tensor) -> int | None:
    """Flat index of one wrong entry, by halving ``direction`` [*shape] while a half is still wrong.

    About 2 log2(N) calls. None if both halves of a wrong direction pass: the error is then spread
    so thinly that no half exceeds its own bound.
    """
    flat = direction.flatten()
    candidates = torch.arange(flat.numel())
    while len(candidates) > 1:
        middle = len(candidates) // 2
        for half in (candidates[:middle], candidates[middle:]):
            trial = torch.zeros_like(flat)
            trial[half] = flat[half]
            if is_wrong(trial.reshape(direction.shape)):
                candidates = half
                break
        else:
            return None
    return int(candidates[0])
