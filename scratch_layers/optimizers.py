"""SGD with momentum, in the report's form."""

from collections.abc import Iterable

import torch
from torch import Tensor

from scratch_layers.checks import real_number, same_kind, same_shape
from scratch_layers.module import Parameter


class SGD:
    """Gradient descent with momentum, in place.

    factor_t = momentum factor_{t-1} + lr grad,  w_t = w_{t-1} - factor_t,  factor_0 = 0

    The learning rate is inside the factor (the report's form), so this equals torch.optim.SGD while
    `lr` is constant, and not otherwise. `lr` may be assigned between steps. Each parameter has one
    factor of its own; gradients are read only.

    Raises TypeError or ValueError unless lr and momentum are finite numbers >= 0 and `params` holds
    at least one Parameter and none twice; `step` raises ValueError, before any change, if a
    gradient does not fit its parameter.
    """

    def __init__(self, params: Iterable[Parameter], lr: float, momentum: float = 0.0) -> None:
        self.params = list(params)
        for i, parameter in enumerate(self.params):
            if not isinstance(parameter, Parameter):
                raise TypeError(
                    f"params[{i}] is a {type(parameter).__name__}; every entry must be a "
                    "Parameter: pass layer.parameters()"
                )
        if not self.params:
            raise ValueError("params is empty; it must hold at least one Parameter")
        if len({id(parameter) for parameter in self.params}) < len(self.params):
            raise ValueError("params holds the same Parameter twice; each must stand there once")
        self.lr = lr
        self.momentum = real_number("momentum", momentum, zero_allowed=True)
        self._flat_factors, self._factors = _zeros_in_one([p.data for p in self.params])

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = real_number("lr", value, zero_allowed=True)

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter's data in place from its grad.

        Momentum 0 sets old factors to 0: multiplied, an infinity would be NaN for ever.
        """
        gradients = [parameter.grad for parameter in self.params]
        values = [parameter.data for parameter in self.params]
        if not _kinds(gradients) == _kinds(values) == _kinds(self._factors):
            for i, factor in enumerate(self._factors):
                _require_fit(f"params[{i}].grad", gradients[i], factor)
                _require_fit(f"params[{i}].data", values[i], factor)
        for factors in self._flat_factors:
            factors.mul_(self.momentum) if self.momentum else factors.zero_()
        torch._foreach_add_(self._factors, gradients, alpha=self.lr)
        torch._foreach_sub_(values, self._factors)

    def zero_grad(self) -> None:
        """Zero every parameter's gradient."""
        for parameter in self.params:
            parameter.zero_grad()

    def __repr__(self) -> str:
        return f"SGD({len(self.params)} parameters, lr={self.lr}, momentum={self.momentum})"


def _zeros_in_one(like: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Zeros of these shapes as views of one flat tensor for each dtype and device: those, these.

    To multiply all momenta by one number takes 2 us in one tensor, 10 in eight.
    """
    kinds = {(tensor.dtype, tensor.device): tensor for tensor in like}
    sizes = {kind: [t.numel() for t in like if (t.dtype, t.device) == kind] for kind in kinds}
    flats = {kind: some.new_zeros(sum(sizes[kind])) for kind, some in kinds.items()}
    parts = {kind: iter(torch.split(flat, sizes[kind])) for kind, flat in flats.items()}
    views = [next(parts[t.dtype, t.device]).view(t.shape) for t in like]
    return list(flats.values()), views


def _kinds(tensors: list[Tensor]) -> list[tuple[torch.Size, torch.dtype, torch.device]]:
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]


def _require_fit(name: str, tensor: Tensor, factor: Tensor) -> None:
    """Say what does not fit, if something does not."""
    remedy = "call zero_grad(), or build a new optimizer"
    same_shape(name, tensor, factor.shape, f"the shape when SGD was built: {remedy}")
    same_kind(name, tensor, "its momentum", factor, remedy)
