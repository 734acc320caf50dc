"""Bad arguments and bad inputs: the class of the error, and that it names argument and value."""

import math
import re

import pytest
import torch

from scratch_layers import (
    SGD,
    Conv2d,
    ConvTranspose2d,
    Module,
    MSELoss,
    NearestUpsampling,
    Parameter,
    ReLU,
    Sequential,
    Upsampling,
)

POSITIVE = [  # for an argument that is a positive int or a pair of them
    (0, ValueError),
    (-1, ValueError),
    ((1, 2, 3), ValueError),
    ((1,), ValueError),
    ((1, 0), ValueError),
    (True, TypeError),
    ((1, True), TypeError),
    (1.0, TypeError),
    (math.nan, TypeError),
    (None, TypeError),
    ("1", TypeError),
    (torch.tensor(1), TypeError),
]
NOT_NEGATIVE = [case for case in POSITIVE if case[0] not in (0, (1, 0))]
WORDS = [("full", ValueError), *(case for case in NOT_NEGATIVE if case[0] != "1")]
COUNT = [(0, ValueError), (True, TypeError), (2.0, TypeError), ((2, 2), TypeError)]
SCALE = [
    (0, ValueError),
    (-2, ValueError),
    (math.nan, ValueError),
    (math.inf, ValueError),
    ((1, 2, 3), ValueError),
    ((1, 0.0), ValueError),
    (True, TypeError),
    ("2", TypeError),
    (None, TypeError),
]
ARGUMENTS = [
    (layer, name, value, error)
    for layer, name, cases in [
        (Conv2d, "in_channels", COUNT),
        (Conv2d, "out_channels", COUNT),
        (Conv2d, "kernel_size", POSITIVE),
        (Conv2d, "stride", POSITIVE),
        (Conv2d, "padding", WORDS),
        (Conv2d, "dilation", POSITIVE),
        (Conv2d, "groups", [*COUNT, (4, ValueError)]),
        (Conv2d, "bias", [(1, TypeError), (None, TypeError)]),
        (Conv2d, "dtype", [(torch.int64, ValueError), ("float32", TypeError)]),
        (ConvTranspose2d, "padding", [*NOT_NEGATIVE, ("same", TypeError)]),
        (ConvTranspose2d, "output_padding", [*NOT_NEGATIVE, ((0, 1), ValueError)]),
        (Upsampling, "scale_factor", SCALE),
    ]
    for value, error in cases
]


@pytest.mark.parametrize(("layer", "name", "value", "error"), ARGUMENTS)
def test_layers_refuse_a_wrong_argument(layer, name, value, error):
    arguments = {"in_channels": 2, "out_channels": 6, "kernel_size": 3}
    if layer is Upsampling:
        arguments["scale_factor"] = 2
    with pytest.raises(error, match=rf"{name}.*must") as refusal:
        layer(**(arguments | {name: value}))
    # Of a pair, the message may name the element at fault alone.
    parts = value if isinstance(value, tuple) else ()
    assert any(str(part) in str(refusal.value) for part in (value, *parts))


@pytest.mark.parametrize(("value", "error"), SCALE)
def test_nearest_upsampling_refuses_a_wrong_scale(value, error):
    with pytest.raises(error, match=r"scale_factor.*must be"):
        NearestUpsampling(value)


INPUTS = [
    (3.0, TypeError, "float"),
    (torch.zeros(2, 3, 3), ValueError, "(2, 3, 3)"),
    (torch.zeros(1, 1, 2, 3, 3), ValueError, "(1, 1, 2, 3, 3)"),
    (torch.zeros(1, 3, 3, 3), ValueError, "3 channels"),
    (torch.zeros(1, 2, 0, 3), ValueError, "(1, 2, 0, 3)"),
    (torch.zeros(1, 2, 3, 3, dtype=torch.int64), ValueError, "torch.int64"),
    (torch.zeros(1, 2, 3, 3, dtype=torch.complex64), ValueError, "torch.complex64"),
    (torch.zeros(1, 2, 3, 3, dtype=torch.float64), ValueError, "torch.float64"),
    (torch.zeros(1, 2, 3, 3, device="meta"), ValueError, "meta"),
    (torch.zeros(1, 2, 3, 3).to_sparse(), ValueError, "torch.sparse_coo"),
]


@pytest.mark.parametrize(("value", "error", "shown"), INPUTS, ids=lambda v: str(v)[:40])
@pytest.mark.parametrize(
    "layer", [Conv2d(2, 1, 2), ConvTranspose2d(2, 1, 2), Upsampling(2, 1, 2, 2)], ids=repr
)
def test_convolutions_refuse_a_wrong_input(layer, value, error, shown):
    with pytest.raises(error, match=rf"input.*{re.escape(shown)}"):
        layer(value)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(1, 1, 3), (1, 1, 3, 2)),
        (Conv2d(1, 1, 2, dilation=3, padding=1), (1, 1, 1, 3)),
        (ConvTranspose2d(1, 1, 2, padding=1), (1, 1, 2, 1)),
        (NearestUpsampling(0.3), (1, 1, 4, 3)),
        (Upsampling(1, 1, 3, 2), (1, 1, 1, 2)),
    ],
    ids=str,
)
def test_an_input_too_small_to_give_an_output_is_refused(layer, shape):
    with pytest.raises(ValueError, match=r"input has shape.*must be at least"):
        layer(torch.zeros(shape))


def test_loss_refuses_what_it_cannot_compare():
    loss, x = MSELoss(), torch.zeros(2, 3)
    for wrong in (torch.zeros(3), torch.zeros(2, 1), x.double(), x.to("meta")):
        with pytest.raises(ValueError, match="target"):
            loss(x, wrong)
    with pytest.raises(TypeError, match="target"):
        loss(x, 0.0)
    with pytest.raises(ValueError, match="empty"):
        loss(x[:0], x[:0])
    assert MSELoss("sum")(x[:0], x[:0]).item() == 0
    with pytest.raises(ValueError, match="reduction is 'none'"):
        MSELoss("none")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-0.1, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (True, TypeError),
        ("0.1", TypeError),
        (None, TypeError),
    ],
)
@pytest.mark.parametrize("name", ["lr", "momentum"])
def test_sgd_refuses_a_wrong_number(name, value, error):
    parameters = [Parameter(torch.ones(1))]
    with pytest.raises(error, match=f"{name} is {value!r}"):
        SGD(parameters, **({"lr": 0.1} | {name: value}))


def test_sgd_refuses_wrong_parameters_and_gradients():
    parameter, other = Parameter(torch.ones(2)), Parameter(torch.ones(1))
    for params, error in [([], ValueError), ([parameter] * 2, ValueError), ([1.0], TypeError)]:
        with pytest.raises(error, match="params"):
            SGD(params, lr=0.1)
    optimizer = SGD([parameter, other], lr=0.1)
    parameter.grad, other.grad = torch.ones(2), torch.ones(3)
    with pytest.raises(ValueError, match=r"params\[1\].grad has shape \(3,\)"):
        optimizer.step()
    assert parameter.data.tolist() == [1, 1]
    optimizer.lr = 0
    with pytest.raises(ValueError, match="lr is -1"):
        optimizer.lr = -1


def test_sequential_refuses_one_instance_twice_and_what_is_no_layer():
    shared = ReLU()
    for modules in ([shared, shared], [shared, Sequential(Sequential(shared))]):
        with pytest.raises(ValueError, match=r"modules\[1\].*ReLU.*another instance"):
            Sequential(*modules)
    with pytest.raises(TypeError, match=r"modules\[1\] is a type"):
        Sequential(ReLU(), ReLU)


@pytest.mark.parametrize(
    ("change", "error", "shown"),
    [
        (lambda s: s.pop("0.bias"), ValueError, "missing entries ['0.bias']"),
        (lambda s: s.update({"1.bias": torch.ones(1)}), ValueError, "extra entries ['1.bias']"),
        (lambda s: s.update({"0.bias": torch.ones(1)}), ValueError, "state['0.bias'] has shape"),
        (lambda s: s.update({"0.bias": [0.0, 0.0]}), TypeError, "state['0.bias'] is a list"),
        (lambda s: s.update({"0.bias": torch.ones(2).long()}), ValueError, "torch.int64"),
    ],
)
def test_a_state_dict_that_does_not_fit_changes_nothing(change, error, shown):
    layer = Sequential(Conv2d(1, 2, 1))
    state = {name: torch.zeros_like(value) for name, value in layer.state_dict().items()}
    change(state)
    with pytest.raises(error, match=re.escape(shown)):
        layer.load_state_dict(state)
    assert all(value.any() for value in layer.state_dict().values())


def test_a_state_that_is_no_mapping_is_refused():
    with pytest.raises(TypeError, match="state is a list"):
        Conv2d(1, 1, 1).load_state_dict([])


def test_to_refuses_what_is_no_floating_dtype():
    layer = Conv2d(1, 1, 1)
    with pytest.raises(TypeError, match=r"to\(dtype=torch.float64\)"):
        layer.to(torch.float64)
    with pytest.raises(ValueError, match=r"torch\.int8"):
        layer.to(dtype=torch.int8)


def test_a_gradient_buffer_that_does_not_fit_is_refused():
    layer = Conv2d(1, 1, 1)
    output = layer(torch.ones(1, 1, 1, 1))
    layer.weight.grad = torch.zeros(2)
    with pytest.raises(ValueError, match=r"weight.grad has shape \(2,\)"):
        layer.backward(output)
    assert not layer.bias.grad.any()


def test_a_layer_without_its_methods_says_what_to_define():
    with pytest.raises(NotImplementedError, match=r"must define forward\(input\)"):
        Module()(torch.ones(1))
    with pytest.raises(TypeError, match="data"):
        Parameter([1.0])


def test_a_state_is_not_loaded_in_part_where_a_parameter_cannot_be_written_to():
    layer = Conv2d(1, 2, 1)
    state = {name: value + 1 for name, value in layer.state_dict().items()}
    before = layer.weight.data.clone()
    layer.bias.data = torch.zeros(1).expand(2)
    with pytest.raises(ValueError, match=r"bias\.data is expanded.*clone"):
        layer.load_state_dict(state)
    assert torch.equal(layer.weight.data, before)
