"""What rounding makes of a computation that nobody has analysed: run it again with every operation
rounded at random (Monte Carlo arithmetic).

Source: D. S. Parker, Monte Carlo Arithmetic, UCLA CSD-970002, 1997. A fused kernel counts as one
operation; what cancels inside it is rounded at the size of its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gradcheck import rounding

RUNS = 4
"""Runs with other roundings; the bound is NOISE_SAFETY times the largest change that they make."""

_AMPLIFIED = 16.0
"""Float64 has no room for random roundings of its own size: they are made larger, their effect
divided again.
"""

Tensors = Mapping[str, Tensor]


class Rounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every floating result of an operation is off by up to one relative roundoff, at random; that
    of a fused kernel, which may subtract inside, by one of the operand in the same place.

    Copies, views, whole numbers and what is not finite stay: they are not rounded.
    """

    def __init__(self, roundoff: float, amplified: float, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.roundoff, self.amplified = roundoff, amplified
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        before = [t.detach().abs() for t in _floating((args, kwargs))]
        result = func(*args, **(kwargs or {}))
        if not getattr(func, "is_view", False):
            for made in _floating(result):
                self.round(made, before, fused=_is_fused(func))
        return result

    def round(self, made: Tensor, operands: list[Tensor], *, fused: bool) -> None:
        """Round a result where it is, but for the elements that it has from its operands."""
        size = made.abs()
        kept = ~size.isfinite()
        if not fused:
            kept |= size == size.round()
        for operand in operands:
            if operand.numel():
                kept |= torch.isin(size, operand.to(size.dtype))
        if bool(kept.all()) or not _has_places(made):
            return
        roundoff = self.amplified * max(self.roundoff, rounding.unit_roundoff(made.dtype))
        noise = torch.rand(made.shape, generator=self.generator, dtype=torch.float64) * 2 - 1
        if fused:
            for operand in operands:
                if operand.shape == size.shape:
                    size = torch.maximum(size, operand.nan_to_num(0.0, 0.0).to(size.dtype))
        made.copy_(torch.where(kept, made, (made + size * roundoff * noise).to(made.dtype)))


class Dtypes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the dtypes of every floating result of an operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.floating: set[torch.dtype] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.floating.update(tensor.dtype for tensor in _floating(result))
        return result


def spread(
    run: Callable[[Tensors], Tensors], given: Tensors, dtype: torch.dtype, shaken: frozenset[str]
) -> dict[str, Tensor]:
    """The largest change of every result of `run` by random roundings of `dtype`.

    `shaken` names the given tensors whose elements may be moved by themselves, towards zero. Where
    some run has no finite result, the change is infinite.
    """
    amplified = _AMPLIFIED if dtype == torch.float64 else 1.0
    roundoff = rounding.unit_roundoff(dtype)
    plain = run(given)
    changes = {name: torch.zeros_like(result) for name, result in plain.items()}
    for seed in range(RUNS):
        mode = Rounded(roundoff, amplified, seed)
        moved = {n: _moved(t, mode) if n in shaken else t for n, t in given.items()}
        results = _run_rounded(run, moved, mode)
        for name, result in plain.items():
            if name not in results:
                changes[name] = torch.full_like(result, torch.inf)
                continue
            change = (results[name] - result).abs() / amplified
            same = (results[name] == result) | (results[name].isnan() & result.isnan())
            change = torch.where(same, 0.0, change.nan_to_num(torch.inf))
            changes[name] = torch.maximum(changes[name], change)
    return changes


def _run_rounded(run: Callable[[Tensors], Tensors], given: Tensors, mode: Rounded) -> Tensors:
    """The results, none where a rounded number is beyond what the function takes."""
    try:
        with mode:
            return run(given)
    except Exception:
        return {}


def _moved(tensor: Tensor, mode: Rounded) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    share = torch.rand(tensor.shape, generator=mode.generator, dtype=torch.float64)
    return (tensor * (1 - mode.amplified * mode.roundoff * share)).to(tensor.dtype)


def _is_fused(func: Any) -> bool:
    """Whether an operation does more than one step of arithmetic for an element."""
    name = func.overloadpacket.__name__
    return torch.Tag.pointwise not in func.tags or name.endswith("_backward")


def _has_places(tensor: Tensor) -> bool:
    """Whether its elements can be written to one by one."""
    return all(n <= 1 or s != 0 for n, s in zip(tensor.shape, tensor.stride(), strict=True))


def _floating(tree: Any) -> list[Tensor]:
    """The floating tensors in arguments or results.

    Without the zeros that forward mode gives in place of a tangent: they have no memory, and to
    compute with them beneath the dispatcher ends the process.
    """
    if isinstance(tree, Tensor):
        return [tree] if tree.is_floating_point() and not tree._is_zerotensor() else []
    if isinstance(tree, Mapping):
        tree = tree.values()
    elif not isinstance(tree, (tuple, list)):
        return []
    return [tensor for part in tree for tensor in _floating(part)]
