"""Right gradients of every sort, each with a small fault in it that must not be missed.

The fault is one entry of the first tensor's gradient, too large by a share. How small that share
may be is what each kind of map is known for: it is a few times what is seen today, so that bounds
that get wider by more are noticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import scratch_layers as sl
from verification.meta.gradients.kinds import Kind
from verification.meta.gradients.maps import (
    Loss,
    OwnReference,
    Pair,
    Pairs,
    SharedMemory,
    cell,
    coarse,
    convolve,
    far_and_near,
    perceptron,
    product,
    scaled,
)
from verification.meta.gradients.promise import (
    BOTH,
    numbers,
)

SINGLE, HALF, BRAIN = torch.float32, torch.float16, torch.bfloat16


XW = {"judged": ("x", "w")}
XWB = {"judged": ("x", "w", "b")}
EXACT = {"basis": "exact"}
BY_HAND: dict[str, Any] = {"modes": (), "refused": ()}
OFFERED_NOT: dict[str, Any] = {"modes": (), "refused": BOTH}
PARAMETERS = ("0.weight", "0.bias", "2.weight", "2.bias")

AFFINE = (
    Kind(
        "product",
        lambda: (product, numbers(3, 4), numbers(4, 2, seed=1)),
        3e-10,
        5,
        XW | EXACT,
        True,
    ),
    Kind(
        "product in float32",
        lambda: (product, numbers(3, 4, dtype=SINGLE), numbers(4, 2, seed=1, dtype=SINGLE)),
        0.003,
        5,
        XW | EXACT,
        True,
    ),
    Kind(
        "convolution",
        lambda: (
            convolve,
            numbers(2, 2, 5, 4, seed=1),
            numbers(3, 2, 3, 2, seed=2),
            numbers(3, seed=3),
        ),
        1e-9,
        79,
        XWB | EXACT,
        True,
    ),
    Kind(
        "convolution in float32",
        lambda: (
            convolve,
            numbers(2, 2, 5, 4, seed=1, dtype=SINGLE),
            numbers(3, 2, 3, 2, seed=2, dtype=SINGLE),
            numbers(3, seed=3, dtype=SINGLE),
        ),
        0.03,
        0,
        XWB | EXACT,
    ),
    Kind(
        "large convolution",
        lambda: (lambda x: F.conv2d(x, numbers(4, 3, 3, 3)), numbers(1, 3, 40, 40)),
        3e-8,
        4000,
    ),
    Kind(
        "nearest upsampling",
        lambda: (lambda x: F.interpolate(x, scale_factor=1.5), numbers(1, 2, 4, 5)),
        1e-12,
        3,
        EXACT,
    ),
    Kind("sum in another layout", lambda: (lambda x: x.sum(0), numbers(5, 3).T), 1e-12, 14, EXACT),
    Kind("small multiple", lambda: (lambda x: 1e-6 * x, numbers(30)), 3e-12, 29),
    Kind("square", lambda: (torch.square, numbers(3, 2)), 3e-12, 5, EXACT),
    Kind("large square", lambda: (torch.square, 1e8 * numbers(20)), 1e-4, 7, EXACT),
    Kind(
        "two inputs of a product",
        lambda: (lambda x, w: x * w, numbers(6), numbers(6, seed=1)),
        1e-10,
        3,
        XW | EXACT,
        True,
    ),
)

SMOOTH = (
    Kind("tanh", lambda: (torch.tanh, numbers(3, 4)), 1e-9, 7, methods=True),
    Kind(
        "tanh in float32", lambda: (torch.tanh, numbers(3, 4, dtype=SINGLE)), 0.01, 7, methods=True
    ),
    Kind("one number", lambda: (torch.exp, numbers(1).reshape(())), 1e-10, 0),
    Kind("mean of squares", lambda: (lambda x: x.square().mean(), numbers(300)), 1e-9, 299),
    Kind("softmax", lambda: (lambda x: F.log_softmax(x, -1), numbers(4, 5)), 1e-9, 0, methods=True),
    Kind("many sines", lambda: (torch.sin, numbers(400)), 3e-8, 399, methods=True),
    Kind("sines in float32", lambda: (torch.sin, numbers(600, dtype=SINGLE)), 0.3, 599),
    Kind("large function", lambda: (lambda x: x.sin().sum(1), numbers(90, 60)), 3e-7, 5399),
    Kind("sine of large numbers", lambda: (lambda x: x**3 + x.sin(), 1.7e3 + numbers(7)), 3e-9, 3),
    Kind("periods of a step", lambda: (lambda x: (6.5 * torch.pi * x).sin(), numbers(7)), 1e-8, 2),
    Kind("softmax of far and near", lambda: (lambda x: F.log_softmax(x, -1), far_and_near(4, 5))),
    Kind("normalisation", lambda: (lambda x: F.layer_norm(x, (6,)), numbers(3, 6)), 3e-10, 17),
    Kind(
        "normalised constant",
        lambda: (lambda x: F.layer_norm(x, (6,)), torch.full((3, 6), 1.7e6, dtype=SINGLE)),
        said={"undecided": 28},
    ),
    Kind(
        "overflowing exponential",
        lambda: (torch.exp, 300 * numbers(6, dtype=SINGLE)),
        said={"undecided": 12},
    ),
    Kind(
        "perceptron",
        lambda: (perceptron(5, 7, 3), numbers(4, 5)),
        3e-8,
        19,
        {"judged": ("input", *PARAMETERS)},
        True,
    ),
    Kind(
        "perceptron in float32",
        lambda: (perceptron(5, 7, 3, dtype=SINGLE), numbers(4, 5, dtype=SINGLE)),
        0.003,
        0,
        {"judged": ("input", *PARAMETERS)},
    ),
    Kind(
        "large perceptron",
        lambda: (perceptron(40, 80, 10), numbers(6, 40)),
        3e-8,
        100,
        {"judged": ("input", *PARAMETERS)},
    ),
    Kind(
        "normalised batch",
        lambda: (nn.BatchNorm1d(3).double(), numbers(4, 3)),
        1e-8,
        4,
        {"judged": ("input", "weight", "bias")},
    ),
    Kind(
        "tuples and mappings",
        lambda: (cell, numbers(3, 2), {"hidden": numbers(3, 2, seed=1)}, 0.5),
        1e-9,
        2,
        {"judged": ("x", "state['hidden']")},
    ),
    Kind(
        "noise at 0", lambda: (lambda x: ((x + 1e6) - 1e6).sin(), torch.zeros(4).double()), 1e-3, 2
    ),
    Kind("rounding inside", lambda: (coarse, numbers(6)), 1, 4),
    Kind(
        "named tuples",
        lambda: (lambda x, s: x * s.weight.sin(), numbers(3), Pair(numbers(3, seed=1), None)),
        1e-10,
        1,
        {"judged": ("x", "s[0]")},
    ),
    Kind(
        "some of the inputs",
        lambda: (lambda x, w: x.sin() * w, numbers(4), numbers(4, seed=1)),
        3e-11,
        1,
        {"judged": ("x",), "not_judged": ("w",), "wrt": ["x"]},
    ),
    Kind(
        "integers beside",
        lambda: (lambda x, i: x.sin()[i], numbers(5), torch.tensor([0, 3, 3])),
        3e-11,
        3,
        {"judged": ("x",)},
    ),
)

KINKED = (
    Kind("rectifier", lambda: (torch.relu, numbers(3, 4)), 1e-11, 0, methods=True),
    Kind(
        "rectifier at 0", lambda: (torch.relu, torch.tensor([0.0, 1, -2, 0, 3]).double()), 1e-13, 4
    ),
    Kind("modulus", lambda: (torch.abs, torch.tensor([0.0, 1.0, -2.0]).double()), 1e-13, 2),
    Kind("largest of three", lambda: (lambda x: F.max_pool1d(x, 3, 1), numbers(1, 2, 8)), 1e-9, 11),
    Kind(
        "smooth modulus",
        lambda: (lambda x: F.smooth_l1_loss(x, numbers(9, seed=1)), numbers(9)),
        3e-9,
        3,
    ),
    Kind(
        "tie",
        lambda: (lambda x: torch.relu(x) - torch.relu(-x), torch.tensor([0.0, 0, 1, -2]).double()),
        said={"undecided": 4, "method": "full"},
    ),
    *(
        Kind(
            f"slope {slope} at a kink, which nobody chooses and nobody refutes",
            lambda slope=slope: (
                (torch.abs, lambda x, g: g * torch.where(x == 0, slope, x.sign())),
                torch.tensor([0.0, 1.0, -2.0]).double(),
            ),
            said={"undecided": 2} | BY_HAND,
        )
        for slope in (2.0, -2.0)
    ),
    Kind(
        "tie downwards",
        lambda: (
            lambda x: torch.relu(-x) - torch.relu(x),
            torch.tensor([0.0, 0, 1, -2]).double(),
        ),
        said={"undecided": 4, "method": "full"},
    ),
    Kind(
        "network of kinks",
        lambda: (
            nn.Sequential(
                nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 2, 2, bias=False)
            ).double(),
            numbers(1, 1, 6, 6).round(),
        ),
        said={"judged": ("input", "0.weight", "2.weight")},
    ),
)

COMPLEX = (
    Kind(
        "complex product",
        lambda: (
            lambda x, w: x * w,
            numbers(3, 2, dtype=torch.complex128),
            numbers(3, 2, seed=1, dtype=torch.complex128),
        ),
        said=XW | EXACT,
    ),
    Kind("complex modulus", lambda: (torch.abs, numbers(5, dtype=torch.complex128))),
    Kind("complex sine", lambda: (torch.sin, numbers(4, dtype=torch.complex64))),
    Kind("spectrum", lambda: (torch.fft.rfft, numbers(7)), 1e-12, 2),
    Kind("back from a spectrum", lambda: (torch.fft.irfft, numbers(5, dtype=torch.complex128))),
    Kind(
        "real and complex",
        lambda: (lambda x, w: x * w, numbers(4), numbers(4, seed=1, dtype=torch.complex128)),
        1e-10,
        1,
        XW | EXACT,
    ),
)


def narrow(dtype: torch.dtype, tanh: float, product_: float) -> Iterator[Kind]:
    """The same in 16 bits, with the shares of two of them."""
    yield Kind(f"tanh in {dtype}", lambda: (torch.tanh, numbers(4, 5, dtype=dtype)), tanh, 3)
    arguments = numbers(2, 2, dtype=dtype), numbers(2, 2, seed=1, dtype=dtype)
    yield Kind(f"product in {dtype}", lambda: (product, *arguments), product_, 1, XW)
    yield Kind(f"mean in {dtype}", lambda: (lambda x: x.square().mean(), numbers(400, dtype=dtype)))
    yield Kind(
        f"perceptron in {dtype}",
        lambda: (perceptron(5, 6, 2, dtype=dtype), numbers(3, 5, dtype=dtype)),
        said={"judged": ("input", *PARAMETERS)},
    )


NARROW = (*narrow(HALF, 0.01, 0.01), *narrow(BRAIN, 0.1, 0.1))

BY_HANDS = (
    Kind(
        "layer with one memory",
        lambda: (SharedMemory(), numbers(3, 4)),
        said={"judged": ("input", "weight")} | BY_HAND,
    ),
    Kind(
        "layer with its own reference",
        lambda: (OwnReference(), numbers(3, 4)),
        said={"judged": ("input", "weight")} | BY_HAND,
    ),
    Kind(
        "layer with pairs",
        lambda: (Pairs(), numbers(3, 4)),
        said={"judged": ("input", "value")} | BY_HAND,
    ),
    Kind(
        "loss",
        lambda: (Loss(), numbers(3), numbers(3, seed=1)),
        said={"judged": ("input",), "not_judged": ("target",), "basis": "exact"} | BY_HAND,
    ),
    Kind(
        "shipped convolution",
        lambda: (scaled(sl.Conv2d(2, 3, 3, stride=2)), numbers(2, 2, 7, 5)),
        said={"judged": ("input", "weight", "bias"), "basis": "exact"} | BY_HAND,
        methods=True,
    ),
    Kind(
        "shipped layers in a row",
        lambda: (
            scaled(sl.Sequential(sl.Conv2d(1, 2, 3), sl.ReLU(), sl.Sigmoid())),
            numbers(1, 1, 5, 5),
        ),
        said={"judged": ("input", "0.weight", "0.bias")} | BY_HAND,
    ),
    Kind("pair", lambda: ((torch.sin, lambda x, g: g * x.cos()), numbers(6)), said=BY_HAND),
    Kind(
        "pair without a gradient for one",
        lambda: (
            (lambda x, w: x.sin() + 0 * w, lambda x, w, g: (g * x.cos(), None)),
            numbers(3),
            numbers(3, seed=1),
        ),
        said=XW | BY_HAND,
    ),
)

NOTHING = (
    Kind(
        "no samples",
        lambda: (product, numbers(0, 3), numbers(3, 2)),
        said=XW | {"basis": "derived"},
    ),
    Kind(
        "no outputs",
        lambda: (product, numbers(2, 0), numbers(0, 2)),
        said=XW | {"basis": "derived", "modes": ()},
    ),
    Kind("steps", lambda: (lambda x: x.sin() + x.floor().detach(), 0.4 + 0 * numbers(3)), 3e-11, 1),
)

GIVEN = (
    Kind(
        "a cotangent",
        lambda: (lambda x: (x.sin(), x.sum()), numbers(4)),
        said={"cotangents": {"output_1": torch.tensor(3.0).double(), "output_0": None}}
        | OFFERED_NOT,
    ),
    Kind(
        "a cotangent of an affine map",
        lambda: (lambda x: 3 * x, numbers(4)),
        said={"cotangents": {"output": numbers(4, seed=1)}} | OFFERED_NOT,
    ),
    Kind(
        "a cotangent of complex numbers",
        lambda: (lambda z: (z * z, z.sin()), numbers(3, dtype=torch.complex128)),
        said={"cotangents": {"output_0": numbers(3, dtype=torch.complex128), "output_1": None}}
        | OFFERED_NOT,
    ),
    Kind(
        "independent samples", lambda: (torch.tanh, numbers(6, 2)), 1e-10, 3, said={"batch_axis": 0}
    ),
    Kind(
        "another seed",
        lambda: (product, numbers(3, 4), numbers(4, 2, seed=1)),
        3e-10,
        2,
        XW | EXACT | {"seed": 7},
    ),
)

KINDS = (*AFFINE, *SMOOTH, *KINKED, *COMPLEX, *NARROW, *BY_HANDS, *NOTHING, *GIVEN)

PROMISES = tuple(promise for kind in KINDS for promise in kind.promises())
