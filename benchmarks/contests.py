"""What is timed: one entry for every line of the speed table, ours against torch.nn.

A contest builds both sides with the same weights and data, checks that their results agree, and
hands over what is to be timed: forward and backward, in torch.nn's case through autograd. Both
accumulate into gradients that are there already.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import scratch_layers as ours
from benchmarks import report_way
from benchmarks.timing import Contestants
from noise2noise.network import denoiser


@dataclass(frozen=True)
class Contest:
    """A line of the table: its ratio to torch.nn must be at most `must`, and shall be `goal`."""

    group: str
    name: str
    build: Callable[[], Contestants]
    must: float | None = None
    goal: float | None = None

    @property
    def key(self) -> str:
        """The line's name in the files."""
        return f"{self.group}, {self.name}"


def contests() -> Iterator[Contest]:
    """Every line of the table, in its order."""
    for batch in (4, 32, 100):
        yield Contest(
            "training step", f"batch {batch}", lambda batch=batch: training_step(batch), 1.0, 0.5
        )
    for channels, must, goal in ((8, 1.0, 0.7), (16, 1.5, 1.0), (32, 1.5, 1.0), (64, 1.2, 1.0)):
        for samples in (10, 100):
            yield _conv("Conv2d 3x3", samples, channels, must, goal, padding=1)
    for channels in (8, 16, 32):
        yield _conv("Conv2d 3x3 stride 2", 10, channels, 1.8, 1.2, padding=1, stride=2)
        yield _conv("Conv2d 5x5", 10, channels, 1.8, 1.2, kernel_size=5, padding=2)
        yield _conv("Conv2d 3x3 float64", 10, channels, 1.0, 0.6, padding=1, dtype=torch.float64)
        for stride in (1, 2):
            more = {"padding": 1, "stride": stride, "kind": "ConvTranspose2d"}
            yield _conv(f"ConvTranspose2d 3x3 stride {stride}", 10, channels, 2.0, 1.0, **more)
        yield _conv("Conv2d 3x3, 2 groups", 10, channels, 2.5, 1.5, padding=1, groups=2)
        yield _conv("Conv2d 3x3 depthwise", 10, channels, 2.5, 1.5, padding=1, groups=channels)
    for scale, must, goal in ((2, 0.5, 0.3), (1.5, 0.8, 0.6), (2.7, 1.2, 1.0)):
        for samples in (10, 100):
            yield Contest(
                f"NearestUpsampling x{scale}",
                f"N {samples}, C 8",
                lambda scale=scale, samples=samples: nearest(samples, 8, scale),
                must,
                goal,
            )
    for channels in (8, 16, 32):
        yield Contest(
            "Upsampling x2, 3x3",
            f"N 10, C {channels}",
            lambda channels=channels: upsampling(10, channels),
            0.8,
            0.5,
        )
    yield Contest("SGD", "parameters of the denoiser", sgd, 0.5, 0.2)


def _conv(
    group: str, samples: int, channels: int, must: float, goal: float, **options: Any
) -> Contest:
    build = lambda: convolution(samples, channels, **options)  # noqa: E731
    return Contest(group, f"N {samples}, C {channels}", build, must, goal)


def convolution(
    samples: int,
    channels: int,
    kind: str = "Conv2d",
    kernel_size: int = 3,
    dtype: torch.dtype = torch.float32,
    size: int = 32,
    check: bool = True,
    **options: Any,
) -> dict[str, Callable[[], object]]:
    """Forward and backward of a convolution from as many channels to as many."""
    x = torch.randn(samples, channels, size, size, dtype=dtype)
    theirs = getattr(torch.nn, kind)(channels, channels, kernel_size, dtype=dtype, **options)
    layer = getattr(ours, kind)(channels, channels, kernel_size, dtype=dtype, **options)
    layer.load_state_dict(theirs.state_dict())
    contestants = _forward_backward(layer, theirs, x, check)
    if kind == "Conv2d" and "groups" not in options:
        way = report_way.Conv2d(theirs.weight.detach(), theirs.bias.detach(), **options)
        contestants["the report's way"] = _ours(way, x, _cotangent(layer, x))
    return contestants


def nearest(samples: int, channels: int, scale: float) -> Contestants:
    """Forward and backward of nearest upsampling from 32 x 32."""
    x = torch.randn(samples, channels, 32, 32)
    theirs = torch.nn.Upsample(scale_factor=scale, mode="nearest", recompute_scale_factor=False)
    return _forward_backward(ours.NearestUpsampling(scale), theirs, x)


def upsampling(samples: int, channels: int) -> Contestants:
    """Forward and backward of nearest upsampling by 2, then a 3 x 3 convolution, from 16 x 16."""
    x = torch.randn(samples, channels, 16, 16)
    convolve = torch.nn.Conv2d(channels, channels, 3, padding=1)
    layer = ours.FusedUpsampling(channels, channels, 3, 2, padding=1)
    layer.load_state_dict(convolve.state_dict())
    theirs = torch.nn.Sequential(torch.nn.Upsample(scale_factor=2, mode="nearest"), convolve)
    return _forward_backward(layer, theirs, x)


def _forward_backward(
    layer: Any, theirs: torch.nn.Module, x: Tensor, check: bool = True
) -> dict[str, Callable[[], object]]:
    """Both sides, after a check that outputs and gradients agree."""
    leaf, cotangent = x.detach().requires_grad_(), _cotangent(layer, x)

    def through_autograd() -> Tensor:
        leaf.grad = None
        y: Tensor = theirs(leaf)
        y.backward(cotangent)
        return y

    if check:
        through_autograd()
        _agree(layer.forward(x), theirs(x))
        _agree(layer.backward(cotangent), leaf.grad)
        for mine, parameter in zip(layer.parameters(), theirs.parameters(), strict=True):
            _agree(mine.grad, parameter.grad)
    return {"ours": _ours(layer, x, cotangent), "torch.nn": through_autograd}


def _cotangent(layer: Any, x: Tensor) -> Tensor:
    """Random numbers of the output's shape."""
    shape = layer.forward(x[:1]).shape[1:]
    return torch.randn(len(x), *shape, dtype=x.dtype)


def _ours(layer: Any, x: Tensor, cotangent: Tensor) -> Callable[[], object]:
    return lambda: (layer.forward(x), layer.backward(cotangent))


def sgd() -> Contestants:
    """One step with momentum over the denoiser's parameters."""
    mine, theirs = denoiser("two"), twin()
    for parameter in mine.parameters():
        parameter.grad = torch.randn_like(parameter.grad)
    for parameter in theirs.parameters():
        parameter.grad = torch.randn_like(parameter)
    step = ours.SGD(mine.parameters(), lr=1e-6, momentum=0.9).step
    return {"ours": step, "torch.nn": torch.optim.SGD(theirs.parameters(), 1e-6, 0.9).step}


def training_step(batch: int) -> Contestants:
    """Forward, loss, backward and update of the two-step denoiser on 32 x 32 crops."""
    x, target = torch.rand(2, batch, 3, 32, 32)
    reference = twin()
    mine = denoiser("two")
    state = zip(mine.state_dict(), reference.state_dict().values(), strict=True)
    mine.load_state_dict(dict(state))
    loss = ours.MSELoss()
    optimizer = ours.SGD(mine.parameters(), lr=1e-2, momentum=0.9)

    def step() -> Tensor:
        optimizer.zero_grad()
        value = loss.forward(mine.forward(x), target)
        mine.backward_parameters(loss.backward())
        optimizer.step()
        return value

    theirs = _autograd_step(reference, x, target)
    for _ in range(3):
        _agree(step(), theirs())
    last = twin().to(memory_format=torch.channels_last)
    x_last, target_last = (t.to(memory_format=torch.channels_last) for t in (x, target))
    channels_last = _autograd_step(last, x_last, target_last)
    return {"ours": step, "torch.nn": theirs, "torch.nn, channels_last": channels_last}


def twin() -> torch.nn.Sequential:
    """The two-step denoiser in torch.nn."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(32, 16, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(16, 3, 3, padding=1),
        nn.Sigmoid(),
    )


def _autograd_step(network: torch.nn.Module, x: Tensor, target: Tensor) -> Callable[[], Tensor]:
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2, momentum=0.9)
    loss = torch.nn.MSELoss()

    def step() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = loss(network(x), target)
        value.backward()
        optimizer.step()
        return value

    return step


def _agree(got: Tensor, expected: Tensor | None) -> None:
    """Refuse to time a wrong layer. The suite judges rightness; this catches a wrong set-up."""
    assert expected is not None
    scale = expected.detach().abs().max().clamp(min=1e-30)
    error = float((got - expected.detach()).abs().max() / scale)
    if not error <= 1e3 * torch.finfo(got.dtype).eps:
        raise RuntimeError(f"the contestants disagree: relative error {error:.1e}; nothing timed")
