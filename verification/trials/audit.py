"""Audits of a call: every operator that reaches the dispatcher, every graph that is recorded."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NETWORK_KERNELS = (
    *("conv", "upsample", "pool", "pad", "grid_sampler", "linear", "attention", "lstm", "gru"),
    *("batch_norm", "layer_norm", "group_norm", "dropout", "embedding", "loss", "softmax", "glu"),
    *("elu", "silu", "mish", "sigmoid", "softplus", "hardtanh", "hardswish", "threshold"),
    "_backward",
)
"""Parts of the names of kernels that do a layer's work, or a part of autograd's.

What remains is tensor arithmetic, matrix products, views, indexing, im2col and col2im.
"""

WAITING = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "unique", "bincount")
"""Operators whose result the host must have before it can go on; `item()` is the first of them."""

INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")
"""Operators that wait only where a mask is among the indices: its ones must be counted first."""


class Audit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sorts the operators that run inside it: `kernels` of networks, and those that are `waiting`.

    Both hold operators' names in the order of their first call.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: dict[str, None] = {}
        self.waiting: dict[str, None] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        if any(part in name for part in NETWORK_KERNELS) and not _is_product(name, args):
            self.kernels[name] = None
        if name.startswith(WAITING) or (name in INDEXING and _by_mask(args[1])):
            self.waiting[name] = None
        if _leaves_the_device(args, result):
            self.waiting[f"{name} to the host"] = None
        return result


def _is_product(name: str, args: Sequence[Any]) -> bool:
    """Whether oneDNN's linear operator, called without bias and activation, is a matrix product."""
    return name == "mkldnn::_linear_pointwise" and args[2] is None and args[3] == "none"


def _by_mask(indices: Sequence[Tensor | None]) -> bool:
    return any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices)


def _leaves_the_device(args: Sequence[Any], result: Any) -> bool:
    """Whether an accelerator's tensor went in and one of the host came out."""
    given, made = (
        {leaf.device.type for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}
        for tree in (args, result)
    )
    return "cpu" in made and bool(given - {"cpu", "meta"})


class GraphAudit(TorchFunctionMode):
    """Collects the functions whose result requires a gradient: each has made a graph grow."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded: dict[str, None] = {}

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in tree_leaves(result)):
            self.recorded[getattr(func, "__name__", str(func))] = None
        return result
