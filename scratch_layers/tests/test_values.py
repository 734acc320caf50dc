"""Values computed by hand, the report's equations, the loops as third opinion, torch.nn's draws."""

import math

import pytest
import torch

from scratch_layers import (
    SGD,
    Conv2d,
    ConvTranspose2d,
    MSELoss,
    NearestUpsampling,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    Upsampling,
    loops,
)
from scratch_layers.upsampling import source_index


def image(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def integers(*shape: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 4, shape, generator=draw).double()


def conv_with(weight: torch.Tensor, bias: float = 0, **options) -> Conv2d:
    layer = Conv2d(1, 1, tuple(weight.shape[2:]), dtype=torch.float64, **options)
    layer.weight.data, layer.bias.data = weight, torch.tensor([bias], dtype=torch.float64)
    return layer


def test_convolution_is_a_cross_correlation_without_flip():
    layer = conv_with(image([1, 2], [3, 4]), bias=10)
    output = layer(image([1, 0, 0], [0, 0, 1]))
    assert torch.equal(output, image([11, 14]))
    grad_input = layer.backward(image([1, 100]))
    assert torch.equal(grad_input, image([1, 102, 200], [3, 304, 400]))
    assert torch.equal(layer.weight.grad, image([1, 0], [0, 100]))
    assert torch.equal(layer.bias.grad, torch.tensor([101.0], dtype=torch.float64))


def test_bias_gradient_sums_over_batch_and_space():
    layer = Conv2d(2, 3, 1, dtype=torch.float64)
    layer(integers(4, 2, 2, 3))
    cotangent = integers(4, 3, 2, 3, seed=1)
    layer.backward(cotangent)
    assert torch.equal(layer.bias.grad, torch.stack([cotangent[:, o].sum() for o in range(3)]))


def test_a_remainder_of_the_stride_gets_no_gradient():
    layer = conv_with(image([1]), stride=2)
    assert torch.equal(layer(image([1, 2, 3, 4])), image([1, 3]))
    assert torch.equal(layer.backward(image([5, 7])), image([5, 0, 7, 0]))


@pytest.mark.parametrize(
    ("kernel", "stride", "expected"),
    [(2, 1, [3, 5, 7, 4]), (2, 3, [3, 4]), (3, 1, [3, 6, 9, 7]), (4, 1, [6, 10, 9, 7])],
)
def test_same_padding_puts_the_odd_zero_last(kernel, stride, expected):
    layer = conv_with(image([1] * kernel), padding="same", stride=(1, stride))
    assert torch.equal(layer(image([1, 2, 3, 4])), image(expected))


def test_transposed_convolution_scatters_the_kernel():
    layer = ConvTranspose2d(1, 1, (1, 2), stride=(1, 2), output_padding=(0, 1), dtype=torch.float64)
    layer.weight.data, layer.bias.data = image([1, 10]), torch.tensor([0.5]).double()
    assert torch.equal(layer(image([2, 3])), image([2.5, 20.5, 3.5, 30.5, 0.5]))
    assert torch.equal(layer.backward(image([1, 2, 3, 4, 5])), image([21, 43]))
    assert torch.equal(layer.weight.grad, image([2 * 1 + 3 * 3, 2 * 2 + 3 * 4]))
    assert layer.bias.grad.item() == 15


def test_transposed_convolution_is_the_input_gradient_of_a_convolution():
    options = {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    forward = Conv2d(4, 6, (3, 2), bias=False, dtype=torch.float64, **options)
    transpose = ConvTranspose2d(6, 4, (3, 2), bias=False, dtype=torch.float64, **options)
    transpose.load_state_dict(forward.state_dict())
    x = integers(2, 4, 7, 9)
    y = integers(*forward(x).shape, seed=1)
    assert torch.equal(transpose(y), forward.backward(y))
    assert torch.equal(transpose.backward(x), forward(x))
    assert torch.allclose(transpose.weight.grad, forward.weight.grad)


GEOMETRIES = [
    {},
    {"stride": (2, 1), "padding": (1, 2)},
    {"stride": (1, 3), "dilation": (2, 1), "groups": 2},
    {"stride": (3, 2), "padding": (2, 0), "dilation": (1, 2), "groups": 4},
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_convolution_equals_the_loops(geometry, batch):
    layer = Conv2d(4, 4, (3, 2), dtype=torch.float64, **geometry)
    x, weight = integers(batch, 4, 6, 7), integers(*layer.weight.data.shape, seed=1)
    layer.weight.data, layer.bias.data = weight, integers(4, seed=2)
    output = layer(x)
    assert torch.equal(output, loops.conv2d_forward(x, weight, layer.bias.data, **geometry))
    cotangent = integers(*output.shape, seed=3)
    grad_input = layer.backward(cotangent)
    expected = loops.conv2d_backward(x, weight, cotangent, **geometry)
    for got, truth in zip((grad_input, *(g for _, g in layer.param())), expected, strict=True):
        assert torch.equal(got, truth)


@pytest.mark.parametrize("scale", [(1, 1), (2, 1.5), (0.5, 3), (2.7, 0.4)], ids=str)
def test_nearest_upsampling_equals_the_loops(scale):
    layer, x = NearestUpsampling(scale), integers(2, 3, 5, 4)
    output = layer(x)
    assert torch.equal(output, loops.nearest_upsampling_forward(x, scale))
    cotangent = integers(*output.shape, seed=1)
    expected = loops.nearest_upsampling_backward(x, cotangent, scale)
    assert torch.equal(layer.backward(cotangent), expected)


def test_nearest_upsampling_by_one_and_a_half():
    layer = NearestUpsampling((1, 1.5))
    assert torch.equal(layer(image([1, 2, 3])), image([1, 1, 2, 3]))
    assert torch.equal(layer.backward(image([1, 10, 100, 1000])), image([11, 100, 1000]))


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        (3, 1.2, [0, 1, 2]),  # the size does not change, so neither does the index
        (2, 2.3, [0, 0, 1, 1]),  # twice the size: i >> 1
        (4, 0.5, [0, 2]),
        (3, 2.5, [0, 0, 0, 1, 1, 2, 2]),
    ],
)
def test_source_index(size, scale, expected):
    assert source_index(size, math.floor(size * scale), scale).tolist() == expected


def test_source_index_is_computed_in_float32():
    # 81 / 2.7 is 30 - 4e-15 in float64, where 81 * (1 / 2.7) rounds up to 30; in float32 it is 29.
    assert source_index(31, 83, 2.7)[80:].tolist() == [29, 29, 30]
    assert math.floor(81 * (1 / 2.7)) == 30


def test_source_index_stays_inside_the_picture():
    # Rounding alone can leave it only beyond 2^24 pixels; a count that is too large shows the same.
    assert source_index(3, 9, 2).tolist() == [0, 0, 1, 1, 2, 2, 2, 2, 2]


def test_upsampling_is_nearest_then_convolution():
    fused = Upsampling(2, 3, 3, (2, 1.5), padding=1, dtype=torch.float64)
    conv = Conv2d(2, 3, 3, padding=1, dtype=torch.float64)
    conv.load_state_dict(fused.state_dict())
    apart, x = Sequential(NearestUpsampling((2, 1.5)), conv), integers(2, 2, 3, 4)
    cotangent = integers(2, 3, 6, 6, seed=1)
    assert torch.allclose(fused(x), apart(x))
    assert torch.allclose(fused.backward(cotangent), apart.backward(cotangent))
    assert torch.allclose(fused.weight.grad, conv.weight.grad)


SPECIAL = torch.tensor([math.nan, math.inf, -math.inf, -1.0, 0.0, 2.0])


def test_relu_at_special_values():
    layer = ReLU()
    assert torch.equal(layer(SPECIAL)[1:], torch.tensor([math.inf, 0, 0, 0, 2]))
    assert layer(SPECIAL)[0].isnan()
    cotangent = torch.full((6,), math.inf)
    expected = torch.tensor([math.inf, math.inf, 0, 0, 0, math.inf])
    assert torch.equal(layer.backward(cotangent), expected)


def test_sigmoid_at_special_values():
    layer = Sigmoid()
    assert torch.equal(layer(SPECIAL)[1:5], torch.tensor([1, 0, 1 / (1 + math.e), 0.5]))
    slope = layer.backward(torch.ones(6))
    assert slope[0].isnan()
    assert slope[1:5].tolist() == [0, 0, pytest.approx(math.e / (1 + math.e) ** 2), 0.25]


@pytest.mark.parametrize("x", [-80.0, -40.0, 40.0, 80.0])
def test_sigmoid_keeps_its_digits_in_the_tails(x):
    layer, tail = Sigmoid(), math.exp(-abs(x))
    # Six operations lie between x and the slope, each within one unit in the last place.
    allowed = 6 * torch.finfo(torch.float32).eps
    assert abs(layer(torch.tensor([x])).item() * (1 + math.exp(-x)) - 1) <= allowed
    assert abs(layer.backward(torch.ones(1)).item() * (1 + tail) ** 2 / tail - 1) <= allowed


def test_mean_and_sum_of_squares():
    x, target = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[1.0, 0, 6, 4]])
    mean, total = MSELoss(), MSELoss("sum")
    assert mean(x, target).item() == 13 / 4
    assert mean.backward().tolist() == [[0, 1, -1.5, 0]]
    assert total(x, target).item() == 13
    assert total.backward().tolist() == [[0, 4, -6, 0]]


def test_the_mean_of_float16_does_not_overflow_in_its_sum():
    x = torch.full((1000,), 200.0, dtype=torch.float16)
    assert MSELoss()(x, torch.zeros_like(x)).item() == 40_000


def test_sgd_follows_the_report_when_the_learning_rate_changes():
    parameter = Parameter(torch.tensor([1.0]))
    optimizer = SGD([parameter], lr=0.5, momentum=0.5)
    parameter.grad = torch.tensor([4.0])
    optimizer.step()
    assert parameter.data.item() == 1 - 2
    optimizer.lr = 0.25
    optimizer.step()
    assert parameter.data.item() == -1 - (0.5 * 2 + 0.25 * 4)
    assert parameter.grad.item() == 4


def test_sgd_without_momentum_forgets_an_infinite_gradient():
    parameter = Parameter(torch.tensor([1.0, 1.0]))
    optimizer = SGD([parameter], lr=1)
    parameter.grad = torch.tensor([math.inf, 0])
    optimizer.step()
    assert parameter.data.tolist() == [-math.inf, 1]
    parameter.data, parameter.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    assert parameter.data.tolist() == [0, 0]


@pytest.mark.parametrize("ours", [Conv2d, ConvTranspose2d])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
def test_initial_values_are_those_of_torch_nn(ours, dtype):
    arguments = {"kernel_size": (3, 2), "groups": 2, "dtype": dtype}
    torch.manual_seed(7)
    layer = ours(4, 6, **arguments)
    torch.manual_seed(7)
    twin = getattr(torch.nn, ours.__name__)(4, 6, **arguments)
    assert [name for name, _ in layer.named_parameters()] == list(twin.state_dict())
    assert all(torch.equal(layer.state_dict()[k], v) for k, v in twin.state_dict().items())
