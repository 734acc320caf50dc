"""The laws are sound, for torch's own kernels lie within the bounds; and they are not vacuous, for
a small error lies outside.
"""

import math

import hypothesis
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from torch import Tensor

from verification.cases import LayerCall, Role, TensorSpec, Values
from verification.references.laws.enclosure import Enclosure, Precision, integers
from verification.references.laws.law import INPUT, OUTPUT, pull_back
from verification.references.rows.activations import RELU, SIGMOID
from verification.references.rows.containers import SEQUENTIAL
from verification.references.rows.convolution import CONV2D, CONV_TRANSPOSE2D
from verification.references.rows.losses import MSE_LOSS
from verification.references.rows.optimizers import SGD
from verification.references.rows.upsampling import NEAREST_UPSAMPLING, UPSAMPLING, source_index
from verification.strategies.geometries.images import CLEAR_SCALES, DELICATE_SCALES
from verification.strategies.geometry import Limits
from verification.trials.materialise import Budget, elements

SINGLE, DOUBLE = Precision(torch.float32), Precision(torch.float64)

SETTINGS = hypothesis.settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)

MULTILINEAR = [CONV2D, CONV_TRANSPOSE2D, NEAREST_UPSAMPLING, UPSAMPLING]
FAMILIES = ["dense", "positive", "ramp", "wide", "constant"]
SMALL_CHANGE = 1e-4
"""Relative size of an error that no bound may hide: torch's gradcheck misses ten times as much."""


def make(name, shape, family, amplitude=1, dtype=torch.float32):
    """A tensor of a value family, rounded to the dtype."""
    spec = TensorSpec(name, Role.INPUT, shape, Values(family))
    budget = Budget(amplitude, amplitude)
    return elements(spec, tuple(shape), lambda: budget, dtype).to(dtype)


def enclose(tensors):
    """Given tensors as the laws take them."""
    return {name: Enclosure.of(t, integers(t)) for name, t in tensors.items()}


def compared(row, family, dtype=torch.float32, amplitude=1):
    """(got, enclosure) of the output and every gradient on drawn geometries: the reference run by
    torch's kernels in the dtype itself, and the law.
    """
    precision, pairs = Precision(dtype), []

    @SETTINGS
    @given(row.geometries(Limits()))
    def compare(geometry):
        shapes, call = (*geometry.inputs, *geometry.parameters), geometry.layer
        tensors = {name: make(name, shape, family, amplitude, dtype) for name, shape in shapes}
        given_tensors = enclose(tensors)
        output = row.law.function(call.kwargs, tensors)
        cotangent = make(OUTPUT, output.shape, family, amplitude, dtype)
        gradients = pull_back(row.law.function, call, tensors, cotangent)
        pairs.append((output, row.law.forward(call, given_tensors, precision)[OUTPUT]))
        backward = row.law.backward(call, given_tensors, enclose({OUTPUT: cotangent}), precision)
        pairs.extend((gradients[name], enclosure) for name, enclosure in backward.items())

    compare()
    return pairs


def outside(got: Tensor, enclosure: Enclosure, share: float = 1.0) -> int:
    """How many entries lie outside that share of the bound."""
    return int(((got.double() - enclosure.value).abs() > share * enclosure.error).sum())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("row", MULTILINEAR, ids=lambda row: row.name)
def test_torchs_float32_kernels_lie_within_the_bounds(row, family):
    pairs = compared(row, family)
    assert sum(got.numel() for got, _ in pairs) > 10_000
    assert sum(outside(got, enclosure) for got, enclosure in pairs) == 0


@pytest.mark.parametrize("row", MULTILINEAR, ids=lambda row: row.name)
def test_a_bound_of_one_rounding_would_be_too_small(row):
    # So the test above can fail. A copy, which upsampling's forward is, takes no rounding at all.
    short = 0
    for got, enclosure in compared(row, "positive"):
        one = Precision(torch.float32).gamma(1) * enclosure.magnitude
        short += int(((got.double() - enclosure.value).abs() > one).sum())
    assert short > 100


@pytest.mark.parametrize("row", MULTILINEAR, ids=lambda row: row.name)
def test_a_small_change_of_any_entry_lies_outside(row):
    for got, enclosure in compared(row, "positive"):
        changed = got * (1 + SMALL_CHANGE)
        assert outside(changed, enclosure) == int((enclosure.value != 0).sum())


@pytest.mark.parametrize("row", MULTILINEAR, ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_integers_are_exact(row, dtype):
    for got, enclosure in compared(row, "integers", dtype, amplitude=7):
        assert enclosure.exact
        assert torch.equal(got.double(), enclosure.value)
        assert not bool(enclosure.error.any())


def test_integers_that_leave_the_significand_are_not_called_exact():
    call = LayerCall.of(
        "Conv2d", kernel_size=2, stride=1, padding=0, dilation=1, groups=1, bias=False
    )
    tensors = {INPUT: torch.full((1, 1, 2, 2), 2048.0), "weight": torch.full((1, 1, 2, 2), 2048.0)}
    assert CONV2D.law.forward(call, enclose(tensors), SINGLE)[OUTPUT].exact
    tensors["weight"] += 1
    assert not CONV2D.law.forward(call, enclose(tensors), SINGLE)[OUTPUT].exact
    assert CONV2D.law.forward(call, enclose(tensors), DOUBLE)[OUTPUT].exact


@pytest.mark.parametrize("row", MULTILINEAR, ids=lambda row: row.name)
def test_an_error_of_the_operands_is_inherited(row):
    @SETTINGS
    @given(row.geometries(Limits(60)))
    def compare(geometry):
        shapes = (*geometry.inputs, *geometry.parameters)
        exact = {name: make(name, shape, "dense", dtype=torch.float64) for name, shape in shapes}
        errors = {name: 1e-6 * tensor.abs() for name, tensor in exact.items()}
        operands = {
            name: Enclosure(tensor, errors[name], tensor.abs(), False)
            for name, tensor in exact.items()
        }
        # Three quarters of the way, so that rounding the moved operands cannot leave the error.
        moved = {name: tensor + 0.75 * errors[name] for name, tensor in exact.items()}
        truth = row.law.forward(geometry.layer, operands, DOUBLE)[OUTPUT]
        got = row.law.function(geometry.layer.kwargs, moved)
        assert outside(got, truth) == 0
        # Not by rounding alone: the same operands without an error have a far smaller bound.
        alone = row.law.forward(geometry.layer, enclose(exact), DOUBLE)[OUTPUT]
        assert outside(got, alone) > 0 or not bool(got.any())

    compare()


# Elementwise maps


POINTS = torch.cat([torch.linspace(-88, 110, 200_001), torch.linspace(-1, 1, 20_001)])
"""Below -88.7 torch.sigmoid is 0 in float32, where the value is a subnormal number: a finding."""


def test_torchs_sigmoid_lies_within_the_bounds():
    call, x, slopes = LayerCall.of("Sigmoid"), {INPUT: POINTS}, {OUTPUT: torch.ones_like(POINTS)}
    forward = SIGMOID.law.forward(call, enclose(x), SINGLE)[OUTPUT]
    assert outside(torch.sigmoid(POINTS), forward) == 0
    backward = SIGMOID.law.backward(call, enclose(x), enclose(slopes), SINGLE)[INPUT]
    inner = POINTS <= 88
    got = torch.sigmoid(POINTS) * torch.sigmoid(-POINTS)
    assert int(((got.double() - backward.value).abs() > backward.error)[inner].sum()) == 0


def test_a_derivative_that_cancels_lies_outside():
    call, x = LayerCall.of("Sigmoid"), torch.tensor([12.0])
    given_x, slopes = enclose({INPUT: x}), enclose({OUTPUT: torch.ones(1)})
    backward = SIGMOID.law.backward(call, given_x, slopes, SINGLE)[INPUT]
    s = torch.sigmoid(x)
    assert outside(s * (1 - s), backward) == 1


def test_a_small_change_of_a_sigmoid_lies_outside():
    call = LayerCall.of("Sigmoid")
    forward = SIGMOID.law.forward(call, enclose({INPUT: POINTS}), SINGLE)[OUTPUT]
    changed = torch.sigmoid(POINTS) * (1 + SMALL_CHANGE)
    normal = forward.value > torch.finfo(torch.float32).tiny
    assert int(((changed.double() - forward.value).abs() <= forward.error)[normal].sum()) == 0


@pytest.mark.parametrize("row", [RELU, SIGMOID], ids=lambda row: row.name)
@pytest.mark.parametrize("which", ["function", "derivative"])
def test_neither_function_nor_derivative_changes_more_than_said(row, which):
    function = getattr(row.law, which)
    bound = {"function": row.law.change, "derivative": row.law.derivative_change}[which]
    x = torch.linspace(-40, 40, 16_001, dtype=torch.float64)
    for step in (2.0**-20, 2.0**-10, 0.5, 3.0):
        said = bound(x, torch.full_like(x, step))
        for moved in (x + step, x - step, x + step / 2):
            change = (function(moved) - function(x)).abs()
            # Both values are rounded, to a few units of the larger.
            rounded = DOUBLE.gamma(16) * torch.maximum(function(moved), function(x)).abs()
            assert bool((change <= said + rounded).all())


def test_relu_is_exact_and_keeps_nan():
    x = torch.tensor([-1.5, -0.0, 0.0, 2.5, math.inf, -math.inf, math.nan])
    forward = RELU.law.forward(LayerCall.of("ReLU"), enclose({INPUT: x}), SINGLE)[OUTPUT]
    assert torch.equal(forward.value.nan_to_num(7), torch.relu(x).double().nan_to_num(7))
    assert not bool(forward.error.any())


# Chains


def test_a_small_change_of_a_chains_results_lies_outside():
    """Bounds do not pile up: after up to four layers, three deep, a small error still shows."""
    law = SEQUENTIAL.law

    @SETTINGS
    @given(SEQUENTIAL.geometries(Limits()))
    def compare(geometry):
        shapes = (*geometry.inputs, *geometry.parameters)
        tensors = enclose({name: make(name, shape, "positive") for name, shape in shapes})
        output = law.forward(geometry.layer, tensors, SINGLE)[OUTPUT]
        slopes = enclose({OUTPUT: make(OUTPUT, output.value.shape, "positive")})
        gradients = law.backward(geometry.layer, tensors, slopes, SINGLE)
        for enclosure in (output, *gradients.values()):
            changed = enclosure.value * (1 + SMALL_CHANGE)
            assert outside(changed, enclosure) == int((enclosure.value != 0).sum())

    compare()


# The loss and the optimiser


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", [0, SMALL_CHANGE])
def test_torchs_squared_error_lies_within_the_bounds_and_a_changed_one_outside(family, change):
    @SETTINGS
    @given(MSE_LOSS.geometries(Limits()))
    def compare(geometry):
        tensors = {name: make(name, shape, family) for name, shape in geometry.inputs}
        call, cotangent = geometry.layer, torch.tensor(3.0)
        given_tensors = enclose(tensors)
        forward = MSE_LOSS.law.forward(call, given_tensors, SINGLE)[OUTPUT]
        slopes = enclose({OUTPUT: cotangent})
        backward = MSE_LOSS.law.backward(call, given_tensors, slopes, SINGLE)[INPUT]
        x = tensors[INPUT].requires_grad_()
        loss = F.mse_loss(x, tensors["target"], **call.kwargs)
        (gradient,) = torch.autograd.grad(loss, x, cotangent)
        for got, enclosure in ((loss.detach(), forward), (gradient, backward)):
            wrong = int((enclosure.value != 0).sum()) if change else 0
            assert outside(got * (1 + change), enclosure) == wrong

    compare()


def momentum_steps(tensors, call):
    """Every parameter after the steps of a call, by torch's in-place kernels."""
    for name, weight in tensors.items():
        if name.startswith("w"):
            w, factor = weight.clone(), torch.zeros_like(weight)
            for step, rate in enumerate(call.kwargs["lr"]):
                gradient = tensors[f"g{name.removeprefix('w')}.{step}"]
                factor.mul_(call.kwargs["momentum"]).add_(gradient, alpha=rate)
                w.sub_(factor)
            yield name, w


def sgd_pairs(family, gradient_sign=1):
    """(got, enclosure) of every parameter on drawn steps of the optimiser."""
    pairs = []

    @SETTINGS
    @given(SGD.geometries(Limits()))
    def compare(geometry):
        tensors = {
            name: make(name, shape, family, 3) * (gradient_sign if name.startswith("g") else 1)
            for name, shape in geometry.inputs
        }
        truth = SGD.law.forward(geometry.layer, enclose(tensors), SINGLE)
        pairs.extend((w, truth[name]) for name, w in momentum_steps(tensors, geometry.layer))

    compare()
    return pairs


@pytest.mark.parametrize("family", [*FAMILIES, "integers"])
def test_momentum_steps_by_torchs_kernels_lie_within_the_bounds(family):
    pairs = sgd_pairs(family)
    assert sum(outside(got, enclosure) for got, enclosure in pairs) == 0
    assert any(enclosure.exact for _, enclosure in pairs) or family != "integers"


def test_a_small_change_of_a_momentum_step_lies_outside():
    # Against the gradient's sign nothing cancels: each result is the sum of its absolute terms.
    for got, enclosure in sgd_pairs("positive", gradient_sign=-1):
        assert outside(got * (1 + SMALL_CHANGE), enclosure) == got.numel()


# The index of nearest upsampling


def torch_sources(size, scale, dtype):
    """The source of every output row, from torch's own backward: one cotangent for each output."""
    count = math.floor(size * scale)
    x = torch.zeros(count, 1, size, 1, dtype=dtype, requires_grad=True)
    y = F.interpolate(x, scale_factor=(scale, 1.0), mode="nearest")
    (gradient,) = torch.autograd.grad(y, x, torch.eye(count, dtype=dtype).reshape(y.shape))
    assert bool((gradient.sum((1, 2, 3)) == 1).all())
    return gradient[:, 0, :, 0].argmax(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [*CLEAR_SCALES, *DELICATE_SCALES, 3.999])
def test_the_source_index_is_that_of_torchs_backward(scale, dtype):
    for size in (*range(1, 24), 31, 45, 63, 64, 88, 100, 127):
        if math.floor(size * scale):
            assert torch.equal(source_index(size, scale), torch_sources(size, scale, dtype)), size


def test_another_rounding_of_the_index_is_seen():
    def in_float64(size, scale):
        i = torch.arange(math.floor(size * scale), dtype=torch.float64)
        return (i / scale).floor().long().clamp(max=size - 1)

    assert not torch.equal(in_float64(111, 2.7), source_index(111, 2.7))
