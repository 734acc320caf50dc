"""How much a check holds at a time: what docs/gradcheck.md says, and no more."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gradcheck import check_gradients

FIXED, EACH = 2**25, 2**10
"""Bytes at any size, and for every number that goes in or comes out."""


class Held(TorchDispatchMode):
    """The memory of all tensors that are alive, and the most that it was."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if type(tensor) is Tensor:
                storage = tensor.untyped_storage()
                if storage._cdata not in self._sizes:
                    weakref.finalize(storage, self._sizes.pop, storage._cdata, None)
                self._sizes[storage._cdata] = storage.nbytes()
        self.most = max(self.most, sum(self._sizes.values()))
        return result


CASES: dict[str, tuple[Callable[..., Tensor], tuple[int, ...], str]] = {
    "every entry by itself": (torch.sin, (400,), "full"),
    "every entry with every other": (lambda x: x.softmax(0), (400,), "full"),
    "random directions": (torch.sin, (40_000,), "projection"),
    "many to one": (lambda x: x.sin().sum(), (200_000,), "projection"),
    "exact": (lambda x: 4 * x, (100_000,), "auto"),
}


def test_the_memory_of_tensors_is_counted() -> None:
    with Held() as held:
        for _ in range(3):
            torch.ones(1000, dtype=torch.float64).mul(2)
    assert 16_000 <= held.most < 24_000


@pytest.mark.parametrize("name", CASES)
def test_a_check_stays_within_its_bound_on_memory(name: str) -> None:
    f, shape, method = CASES[name]
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with Held() as held:
        assert check_gradients(f, x, method=method).ok
    assert held.most <= FIXED + EACH * (x.numel() + f(x).numel())


def test_a_check_without_chunks_would_exceed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("verdicts.points", "differences.evaluation", "differences.jacobians"):
        monkeypatch.setattr(f"gradcheck.{module}.CHUNK_ELEMENTS", 2**40)
    f, _, method = CASES["every entry with every other"]
    with Held() as held:
        check_gradients(f, torch.linspace(-1, 1, 600, dtype=torch.float64), method=method)
    assert held.most > FIXED + EACH * 2 * 600
