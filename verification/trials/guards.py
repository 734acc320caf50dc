"""What a layer may have changed for the whole process, put back after each of its calls.

A layer that leaves gradients off or another default dtype must not change what is true of the next
case, nor of itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_STATES: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
)
"""Of each of torch's global states, the function that tells it and the one that sets it."""


@contextmanager
def globals_restored() -> Iterator[None]:
    """Put torch's default dtype, grad mode, number of threads and deterministic mode back."""
    before = [get() for get, _ in _STATES]
    try:
        yield
    finally:
        for (get, restore), value in zip(_STATES, before, strict=True):
            if get() != value:
                restore(value)
