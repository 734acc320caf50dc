"""torch.nn's own layers as subjects, judged by the very rows that judge the shipped ones: a false
alarm of the suite would show here first.

Where torch.nn departs from the contract of DESIGN a waiver says so by name and with its reason;
docs/findings.md reproduces each departure.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import scratch_layers
from gradcheck.subjects import ModuleSubject, Subject
from verification.cases import LayerCall
from verification.references import (
    activations,
    containers,
    convolution,
    losses,
    optimizers,
    upsampling,
)
from verification.references.laws import INPUT
from verification.references.row import Clause, Row
from verification.subjects.entry import Entry
from verification.subjects.optimizers import OptimizerSubject

OTHER_CONTRACT = dict.fromkeys(
    (Clause.ACCUMULATION, Clause.ORDER_OF_CALLS, Clause.PURITY, Clause.REFUSALS, Clause.STATE),
    "the contract of hand-written layers, which torch.nn's modules have another one for",
)
STRIDED_SAME = {Clause.STRIDED_SAME: "torch.nn.Conv2d refuses padding='same' with a stride"}
LARGE_NEAREST = {
    Clause.LARGE_NEAREST: "the forward of large images gathers by another index than the backward"
}
AXIS_ORDER = {
    Clause.AXIS_ORDER: "float32 convolutions are wrong on some channels_last tensors on the CPU"
}
PADDED_INFINITY = {
    Clause.NON_FINITE: "whether infinity meets a zero of the padding differs between kernels"
}
SATURATION = {Clause.SATURATION: "the backward is s (1 - s), which cancels for large inputs"}
KEPT_OUTPUT = {Clause.FRESH_OUTPUTS: "the output is kept, and writing to it changes the backward"}
SHARED_EMPTY = {
    Clause.FRESH_OUTPUTS: "an empty Sequential returns its input, and activations keep their output"
}
CONSTANT_RATE = {
    Clause.CHANGING_RATE: "the learning rate multiplies the momentum too, as it is in each step"
}


class UpsampledConv2d(nn.Conv2d):
    """torch.nn.Upsample, then torch.nn.Conv2d; the parameters are weight and bias."""

    def __init__(self, *, scale_factor: float | tuple[float, ...], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.enlarge = nearest(scale_factor=scale_factor)

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of the enlarged images."""
        return super().forward(self.enlarge(input))


def nearest(scale_factor: float | tuple[float, ...]) -> nn.Module:
    """torch.nn.Upsample by nearest neighbour."""
    return nn.Upsample(scale_factor=scale_factor, mode="nearest")


MODULES: Mapping[str, Callable[..., nn.Module]] = {
    "Conv2d": nn.Conv2d,
    "ConvTranspose2d": nn.ConvTranspose2d,
    "NearestUpsampling": nearest,
    "Upsampling": UpsampledConv2d,
    "ReLU": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Sequential": nn.Sequential,
    "MSELoss": nn.MSELoss,
}
"""The twin of each row in torch.nn, by the row's name."""


def build_module(call: LayerCall, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The module that a call describes, its children first."""
    children = [build_module(child, dtype, device) for child in call.children]
    return MODULES[call.name](*children, **call.kwargs).to(device, dtype)


class TorchSGD:
    """torch.optim.SGD with an `lr` that can be assigned, on parameters of `data` and `grad`."""

    def __init__(
        self, params: Sequence[scratch_layers.Parameter], lr: float, momentum: float
    ) -> None:
        self._params = params
        self._inner = torch.optim.SGD([p.data for p in params], lr=lr, momentum=momentum)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        rate: float = self._inner.param_groups[0]["lr"]
        return rate

    @lr.setter
    def lr(self, value: float) -> None:
        self._inner.param_groups[0]["lr"] = value

    def step(self) -> None:
        """Update the data of every parameter in place."""
        for parameter in self._params:
            parameter.data.grad = parameter.grad
        self._inner.step()


class LossSubject(ModuleSubject):
    """A loss of torch.nn; the rows know the gradient of its first input alone."""

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradient of the first input."""
        return {INPUT: super().vjp(cotangents)[INPUT]}


def _loss(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    return LossSubject(build_module(call, dtype, device))


def _module(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    return ModuleSubject(build_module(call, dtype, device))


def _optimizer(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    arguments = call.kwargs
    rates = arguments.pop("lr")
    return OptimizerSubject(call.name, lambda ps, lr: TorchSGD(ps, lr, **arguments), rates)


def _entry(row: Row, *departures: Mapping[Clause, str]) -> Entry:
    waivers = dict(OTHER_CONTRACT)
    for departure in departures:
        waivers |= departure
    return Entry(f"torch.nn.{row.name}", row, _module, waivers=waivers)


REFERENCES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        _entry(convolution.CONV2D, STRIDED_SAME, AXIS_ORDER),
        _entry(convolution.CONV_TRANSPOSE2D, AXIS_ORDER, PADDED_INFINITY),
        _entry(upsampling.NEAREST_UPSAMPLING, LARGE_NEAREST),
        _entry(upsampling.UPSAMPLING, STRIDED_SAME, LARGE_NEAREST, AXIS_ORDER),
        _entry(activations.RELU, KEPT_OUTPUT),
        _entry(activations.SIGMOID, SATURATION, KEPT_OUTPUT),
        _entry(containers.SEQUENTIAL, SATURATION, SHARED_EMPTY, AXIS_ORDER, PADDED_INFINITY),
        Entry("torch.nn.MSELoss", losses.MSE_LOSS, _loss, waivers=OTHER_CONTRACT),
        Entry(
            "torch.optim.SGD", optimizers.SGD, _optimizer, waivers=OTHER_CONTRACT | CONSTANT_RATE
        ),
    )
}
"""Every reference by name."""
