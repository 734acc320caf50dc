"""An accelerator that is not there: its tensors say they are on the device "simulated", the
arithmetic runs on the CPU, and mixing devices is refused as CUDA refuses it.

So a layer that makes a tensor on the host in the middle of its work is found without a GPU. Its
tensors have no memory of their own: what compares addresses cannot be judged here. Naming a backend
is for the whole process and for ever, so `register` is called in a child process only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

SIMULATED = "simulated"
"""The name of the device."""

aten = torch.ops.aten

_COPIES = (aten.copy_.default, aten._to_copy.default)
"""The operators that are there to cross from one device to another."""

_BY_INDEX = (aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default)
"""CUDA lets these have their indices on the host."""


def register() -> None:
    """Give torch's spare backend the name of the simulated device, once."""
    if torch._C._get_privateuse1_backend_name() != SIMULATED:
        _setup_privateuseone_for_python_backend(SIMULATED)


class SimulatedTensor(Tensor):
    """A tensor that says it is on the device; `numbers` holds them on the CPU."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor) -> "SimulatedTensor":
        made: SimulatedTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=torch.device(SIMULATED, 0),
        )
        made.numbers = numbers
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise RuntimeError(f"{func} on a simulated tensor outside of its SimulatedDevice")

    def __repr__(self) -> str:  # type: ignore[override]
        return f"SimulatedTensor({self.numbers!r})"


class SimulatedDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside it operators run on simulated tensors, and refuse those of another device."""

    def __enter__(self) -> "SimulatedDevice":
        # torch.tensor(..., device=...) then makes its tensor on the CPU and copies it over.
        self._lifted = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(self._lifted)
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, options)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in given if isinstance(tensor, SimulatedTensor)]
        if there and func not in _COPIES:
            _refuse_mixing(func, args, given)
        stays = _result_is_simulated(func, args, options, bool(there))
        if options.get("device") is not None and _names_it(options["device"]):
            options["device"] = torch.device("cpu")
        result = func(*tree_map(_numbers, tuple(args)), **tree_map(_numbers, options))
        if not stays:
            return result
        # An operator in place returns the very tensor that it was given.
        known = {id(tensor.numbers): tensor for tensor in there}
        return tree_map(lambda made: _wrapped(made, known), result)


def _refuse_mixing(func: Any, args: Sequence[Any], given: Sequence[Tensor]) -> None:
    """Raise RuntimeError for a tensor of another device; a number in a tensor is let through."""
    checked = [args[0]] if func in _BY_INDEX else given
    strangers = [t for t in checked if not isinstance(t, SimulatedTensor) and t.dim()]
    if strangers:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found simulated:0 and "
            f"{strangers[0].device} in {func}"
        )


def _result_is_simulated(
    func: Any, args: Sequence[Any], options: Mapping[str, Any], any_there: bool
) -> bool:
    if func is aten.copy_.default:
        return isinstance(args[0], SimulatedTensor)
    device = options.get("device")
    return any_there if device is None else _names_it(device)


def _names_it(device: Any) -> bool:
    return torch.device(device).type == SIMULATED


def _numbers(value: Any) -> Any:
    return value.numbers if isinstance(value, SimulatedTensor) else value


def _wrapped(made: Any, known: Mapping[int, SimulatedTensor]) -> Any:
    if not isinstance(made, Tensor):
        return made
    return known[id(made)] if id(made) in known else SimulatedTensor(made)
