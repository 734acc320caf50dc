"""An optimiser as a map: parameters "w0", "w1", ... and gradients "g0.0", "g1.0", "g0.1", ...
("g{parameter}.{step}") to the parameters after the last step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor

import scratch_layers
from verification.cases import LayerCall
from verification.subjects.driving.stepping import RATES

MakeOptimizer = Callable[[Sequence[scratch_layers.Parameter], float], Any]
"""(parameters, learning rate) -> an object with `step()` and an `lr` that can be assigned."""


class OptimizerSubject:
    """One optimiser, made anew in every forward; `rates` are the learning rates of its steps."""

    offers: frozenset[str] = frozenset({"step"})

    def __init__(self, name: str, make: MakeOptimizer, rates: Sequence[float]) -> None:
        self.name = name
        self.asked: tuple[str, ...] = ()  # the arguments that a dict of them was asked for, if one
        self._make = make
        self._rates = rates

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The parameters after all steps; `inputs` hold what they start from, and the gradients."""
        weights, optimizer = self.start(inputs)
        for step, rate in enumerate(self._rates):
            _set_rate(optimizer, rate)
            for name, weight in weights.items():
                weight.grad = inputs[f"g{name.removeprefix('w')}.{step}"]
            optimizer.step()
        self.asked = getattr(optimizer, "asked", ())
        return {name: weight.data for name, weight in weights.items()}

    def start(
        self, inputs: Mapping[str, Tensor]
    ) -> tuple[dict[str, scratch_layers.Parameter], Any]:
        """The parameters by name, and the optimiser before its first step."""
        weights = {
            name: scratch_layers.Parameter(_writable(value.detach()))
            for name, value in inputs.items()
            if name.startswith("w")
        }
        return weights, self._make(list(weights.values()), self._rates[0])

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """An optimiser has none; its row is not differentiable, so no property asks for it."""
        raise NotImplementedError(f"{self.name} is an optimiser: it has no vector-Jacobian product")


def _set_rate(optimizer: Any, rate: float) -> None:
    """Let the next step have this learning rate, whatever the optimiser calls it."""
    for name in [own for own in RATES if hasattr(optimizer, own)] or RATES[:1]:
        setattr(optimizer, name, rate)


class _Around:
    """Somebody's optimiser, whose steps take other arguments or other parameters."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        """Whatever is asked, such as `lr`, is asked of the inner optimiser."""
        return getattr(self.__dict__["_inner"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        """What is assigned is the inner optimiser's."""
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            setattr(self._inner, name, value)


class Updating(_Around):
    """An optimiser that is given dicts of its parameters and gradients at every step, in
    `update(params, grads)` or `step(params, grads)`, and changes the arrays or puts others in their
    place.
    """

    def __init__(self, inner: Any, params: Sequence[scratch_layers.Parameter]) -> None:
        super().__init__(inner)
        self._params = {str(place): parameter for place, parameter in enumerate(params)}

    def step(self) -> None:
        """Update the data of every parameter in place."""
        values = {name: parameter.data.numpy() for name, parameter in self._params.items()}
        gradients = {name: parameter.grad.numpy() for name, parameter in self._params.items()}
        move = getattr(self._inner, "update", None) or self._inner.step
        move(values, gradients)
        for name, parameter in self._params.items():
            parameter.data.copy_(torch.from_numpy(values[name]))


class Update(Protocol):
    """A function (parameter, gradient, arguments) -> the next parameter, alone or with whatever is
    to be kept for the next call.
    """

    def __call__(
        self, weight: Tensor, gradient: Tensor, arguments: Mapping[str, Any], kept: Any
    ) -> tuple[Tensor, Any, tuple[str, ...]]:
        """The next parameter, what is kept, and the arguments that a dict was asked for."""


class Stepping:
    """An optimiser that is a function of one parameter at a time."""

    def __init__(
        self,
        update: Update,
        params: Sequence[scratch_layers.Parameter],
        arguments: Mapping[str, Any],
    ) -> None:
        self._update = update
        self._params = params
        self._arguments = arguments
        self._kept: list[Any] = [None] * len(params)
        self.lr = 0.0
        self.asked: tuple[str, ...] = ()

    def step(self) -> None:
        """Update the data of every parameter in place."""
        arguments = {"lr": self.lr, **self._arguments}
        for place, parameter in enumerate(self._params):
            given = parameter.data, parameter.grad, arguments, self._kept[place]
            moved, self._kept[place], self.asked = self._update(*given)
            parameter.data.copy_(moved)


class ArrayParameter:
    """A parameter whose data and gradient are numpy arrays."""

    requires_grad = True

    def __init__(self, data: numpy.ndarray[Any, Any]) -> None:
        self.data = data
        self.grad: numpy.ndarray[Any, Any] | None = None


class OfArrays(_Around):
    """An optimiser of parameters that are arrays; `make` builds it from them."""

    def __init__(
        self,
        make: Callable[[Sequence[ArrayParameter]], Any],
        params: Sequence[scratch_layers.Parameter],
    ) -> None:
        self._params = params
        self._held = [ArrayParameter(parameter.data.numpy()) for parameter in params]
        super().__init__(make(self._held))

    def step(self) -> None:
        """Update the data of every parameter in place."""
        for held, parameter in zip(self._held, self._params, strict=True):
            held.grad = parameter.grad.numpy()
        self._inner.step()
        for held, parameter in zip(self._held, self._params, strict=True):
            parameter.data.copy_(torch.from_numpy(held.data))


def scratch_sgd(call: LayerCall, kind: Callable[..., Any] = scratch_layers.SGD) -> OptimizerSubject:
    """scratch_layers.SGD, or another class with its arguments, under the subject protocol."""
    arguments = call.kwargs
    rates = arguments.pop("lr")
    return OptimizerSubject(call.name, lambda params, lr: kind(params, lr, **arguments), rates)


def _writable(value: Tensor) -> Tensor:
    """A copy that can be updated in place: in the same layout, unless that repeats elements."""
    repeats = any(n > 1 and step == 0 for n, step in zip(value.shape, value.stride(), strict=True))
    if repeats:
        return value.contiguous()
    copy = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=value.device)
    return copy.copy_(value)
