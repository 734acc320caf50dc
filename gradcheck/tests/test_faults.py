"""Wrong backwards planted on purpose: each is caught, at the place where it is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradcheck import check_gradients

METHODS = ["full", "projection"]
STRIDE, PADDING = (2, 1), (1, 0)


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def convolve(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.conv2d(x, w, b, stride=STRIDE, padding=PADDING)


def conv_vjp(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return (
        nn.grad.conv2d_input(x.shape, w, g, STRIDE, PADDING),
        nn.grad.conv2d_weight(x, w.shape, g, STRIDE, PADDING),
        g.sum((0, 2, 3)),
    )


def conv_arguments(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    return (
        numbers(2, 2, 5, 4, seed=1, dtype=dtype),
        numbers(3, 2, 3, 2, seed=2, dtype=dtype),
        numbers(3, seed=3, dtype=dtype),
    )


def but(index: int, change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """The right vjp of the convolution, with one gradient changed."""

    def vjp(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        gradients = list(conv_vjp(x, w, b, g))
        gradients[index] = change(gradients[index].clone())
        return tuple(gradients)

    return vjp


def put(place: tuple[Any, ...], value: float) -> Callable[[Tensor], Tensor]:
    def change(gradient: Tensor) -> Tensor:
        gradient[place] = value
        return gradient

    return change


def unflipped(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    return conv_vjp(x, w.flip(2, 3), b, g)[0], *conv_vjp(x, w, b, g)[1:]


def first_sample_only(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    return *conv_vjp(x, w, b, g)[:2], g[0].sum((1, 2))


def strides_ignored(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    return conv_vjp(x, w, b, torch.as_strided(g, g.shape, torch.empty(g.shape).stride()))


def cotangent_ignored(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    return conv_vjp(x, w, b, torch.ones_like(g))


FAULTS = {
    "kernel not flipped": (unflipped, "x"),
    "corner of the input gradient zeroed": (but(0, put((1, 1, 4, 3), 0.0)), "x"),
    "last row missing": (but(0, put((slice(None), slice(None), -1), 0.0)), "x"),
    "weight gradient per sample": (but(1, lambda g: g / 2), "w"),
    "kernel axes reversed": (but(1, lambda g: g.flip(2)), "w"),
    "channels swapped": (but(1, lambda g: g.flip(1)), "w"),
    "weight gradient one part in a million off": (but(1, lambda g: g * (1 + 1e-6)), "w"),
    "bias of one channel missing": (but(2, put((1,), 0.0)), "b"),
    "bias of the first sample only": (first_sample_only, "b"),
    "all zero": (but(0, torch.zeros_like), "x"),
    "sign": (but(0, torch.neg), "x"),
    "cotangent ignored": (cotangent_ignored, "x"),
    "not a number": (but(0, put((0, 0, 0, 0), torch.nan)), "x"),
    "infinite": (but(0, put((0, 0, 0, 0), torch.inf)), "x"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_a_right_convolution_passes(method: Any, dtype: torch.dtype) -> None:
    for seed in range(10):
        report = check_gradients(
            (convolve, conv_vjp), *conv_arguments(dtype), method=method, seed=seed
        )
        assert report.ok, str(report)
        assert report.undecided == 0
        assert [tensor.tensor for tensor in report.tensors] == ["x", "w", "b"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_convolution_is_caught(method: Any, fault: str) -> None:
    vjp, tensor = FAULTS[fault]
    for seed in range(5):
        x, w, b = conv_arguments()
        report = check_gradients((convolve, vjp), x, w, b, method=method, seed=seed)
        assert tensor in {mismatch.tensor for mismatch in report.mismatches}


@pytest.mark.parametrize("fault", [name for name in FAULTS if "million" not in name])
def test_a_wrong_convolution_is_caught_in_float32(fault: str) -> None:
    vjp, tensor = FAULTS[fault]
    report = check_gradients((convolve, vjp), *conv_arguments(torch.float32))
    assert tensor in {mismatch.tensor for mismatch in report.mismatches}


def test_the_wrong_entry_is_named() -> None:
    x, w, b = conv_arguments()
    vjp = but(1, put((2, 0, 1, 1), 0.25))
    for method in METHODS:
        report = check_gradients((convolve, vjp), x, w, b, method=method)
        (mismatch,) = report.mismatches
        assert (mismatch.tensor, mismatch.entry, mismatch.got) == ("w", (2, 0, 1, 1), 0.25)
        assert abs(mismatch.expected - 0.25) > 1e6 * mismatch.bound
        assert "1 of 36 entries differ" in str(report)


def test_one_wrong_entry_of_many_is_bisected() -> None:
    x = numbers(90, 60)

    def vjp(x: Tensor, g: Tensor) -> Tensor:
        gradient = g.T.expand(90, 1) * x.cos()
        gradient[71, 13] *= 1.001
        return gradient

    report = check_gradients((lambda x: x.sin().sum().reshape(1, 1), vjp), x)
    assert [mismatch.entry for mismatch in report.mismatches] == [(71, 13)]


def test_a_cotangent_in_another_layout_shows_ignored_strides() -> None:
    x, w, b = conv_arguments()
    g = numbers(*reversed(convolve(x, w, b).shape)).permute(3, 2, 1, 0)
    right = check_gradients((convolve, conv_vjp), x, w, b, cotangents={"output": g})
    wrong = check_gradients((convolve, strides_ignored), x, w, b, cotangents={"output": g})
    assert right.ok
    assert {mismatch.tensor for mismatch in wrong.mismatches} == {"x", "w", "b"}


def test_an_input_in_another_layout_shows_ignored_strides() -> None:
    """Wrong only for the layout that is given, and wrong at every point that lies so in memory."""

    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return 2 * g * torch.as_strided(x, x.shape, torch.empty(x.shape).stride())

    pair = (torch.square, vjp)
    assert check_gradients(pair, numbers(4, 3)).ok
    assert not check_gradients(pair, numbers(3, 4).T).ok


PEERS_MISS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], Tensor]] = {
    "an all-zero gradient of a mean over 1000": (
        lambda x: x.square().mean(),
        lambda x, g: torch.zeros_like(x),
        numbers(1000),
    ),
    "one entry of 256 eleven times too large": (
        lambda x: x.sin(),
        lambda x, g: g * x.cos() * torch.where(torch.arange(256) == 77, 11.0, 1.0),
        numbers(256),
    ),
    "a gradient 1.0009 times too large": (
        lambda x: x.exp(),
        lambda x, g: 1.0009 * g * x.exp(),
        numbers(30),
    ),
    "a gradient of size 1e-6 zeroed": (
        lambda x: 1e-6 * x,
        lambda x, g: torch.zeros_like(x),
        numbers(30),
    ),
    "a tanh that saturates": (
        lambda x: x.tanh(),
        lambda x, g: g * (1 - x.tanh() ** 2).clamp(max=0.9999),
        torch.linspace(-1, 1, 41, dtype=torch.float64),
    ),
}


@pytest.mark.parametrize("name", PEERS_MISS)
@pytest.mark.parametrize("method", METHODS)
def test_faults_that_a_fixed_tolerance_misses(method: Any, name: str) -> None:
    f, vjp, x = PEERS_MISS[name]
    for seed in range(5):
        assert not check_gradients((f, vjp), x, method=method, seed=seed).ok


class OneBuffer:
    """Every result in the same memory: right, if each is used before the next call."""

    def __init__(self, factor: float) -> None:
        self.memory = torch.empty(12, dtype=torch.float64)
        self.gradient = torch.empty(12, dtype=torch.float64)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return self.memory.copy_(x**3)

    def backward(self, g: Tensor) -> Tensor:
        return self.gradient.copy_(self.factor * self.x**2 * g)


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_writes_all_results_into_one_buffer_is_judged_by_its_numbers(
    method: Any,
) -> None:
    report = check_gradients(OneBuffer(3.0), numbers(12), method=method)
    assert (report.ok, report.undecided) == (True, 0)
    assert not check_gradients(OneBuffer(2.0), numbers(12), method=method).ok
