"""The order of calls, what is left alone, what is fresh, and what travels in a state_dict."""

import pytest
import torch

from scratch_layers import (
    SGD,
    Conv2d,
    ConvTranspose2d,
    FusedUpsampling,
    MSELoss,
    NearestUpsampling,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    Upsampling,
)

LAYERS = {
    "Conv2d": lambda: Conv2d(2, 2, 1),
    "ConvTranspose2d": lambda: ConvTranspose2d(2, 2, 1),
    "NearestUpsampling": lambda: NearestUpsampling(1),
    "Upsampling": lambda: Upsampling(2, 2, 3, 2, padding=1),
    "FusedUpsampling": lambda: FusedUpsampling(2, 2, 3, 2, padding=1),
    "ReLU": ReLU,
    "Sigmoid": Sigmoid,
    "empty Sequential": Sequential,
    "Sequential": lambda: Sequential(Conv2d(2, 3, 2), Sequential(ReLU(), NearestUpsampling(2))),
}
every_layer = pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)


def picture(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 2, 4, 3, generator=torch.Generator().manual_seed(seed))


@every_layer
def test_backward_needs_a_forward(build):
    with pytest.raises(RuntimeError, match="before forward"):
        build().backward(picture())


@every_layer
def test_input_and_cotangent_are_left_alone_and_results_are_fresh(build):
    layer, x = build(), picture().requires_grad_()
    kept = x.detach().clone()
    output = layer(x)
    cotangent = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    kept_cotangent = cotangent.clone()
    grad_input = layer.backward(cotangent)
    assert torch.equal(x, kept)
    assert torch.equal(cotangent, kept_cotangent)
    assert not output.requires_grad
    assert not grad_input.requires_grad
    storages = {t.untyped_storage().data_ptr() for t in (x, cotangent, output, grad_input)}
    assert len(storages) == 4


@every_layer
def test_backward_twice_accumulates_twice(build):
    layer = build()
    cotangent = torch.ones_like(layer(picture()))
    first = layer.backward(cotangent)
    once = [gradient.clone() for _, gradient in layer.param()]
    assert torch.equal(layer.backward(cotangent), first)
    for (_, gradient), single in zip(layer.param(), once, strict=True):
        assert torch.equal(gradient, 2 * single)
    layer.zero_grad()
    assert all(not gradient.any() for _, gradient in layer.param())


def same_parameter_gradients(layer):
    """Whether `backward_parameters` adds, bit by bit, what `backward` adds."""
    output = layer(picture())
    cotangent = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    layer.backward(cotangent)
    expected = [gradient.clone() for _, gradient in layer.param()]
    layer.zero_grad()
    assert layer.backward_parameters(cotangent) is None
    got = [gradient for _, gradient in layer.param()]
    return all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@every_layer
def test_the_parameters_gradients_may_be_asked_for_alone(build):
    assert same_parameter_gradients(build())
    layer = build()
    with pytest.raises(RuntimeError, match="before forward"):
        layer.backward_parameters(picture())
    with pytest.raises(ValueError, match="grad_output"):
        layer.backward_parameters(layer(picture())[:1])
    assert all(not gradient.any() for _, gradient in layer.param())


def test_a_layer_that_inherits_it_beside_its_own_backward_is_seen():
    class Doubled(Conv2d):
        def backward(self, grad_output):
            return super().backward(2 * grad_output)

    assert not same_parameter_gradients(Doubled(2, 2, 1))
    assert same_parameter_gradients(Sequential(Sequential(), Conv2d(2, 2, 1)))


def test_the_first_layer_of_a_chain_is_not_asked_for_its_inputs_gradient(monkeypatch):
    chain = Sequential(Conv2d(2, 2, 1), ReLU())
    output = chain(picture())
    monkeypatch.setattr(chain.layers[0], "backward", None)
    chain.backward_parameters(output)
    assert chain.layers[0].weight.grad.any()


@every_layer
def test_backward_differentiates_the_latest_forward(build):
    layer, fresh = build(), build()
    fresh.load_state_dict(layer.state_dict())
    layer(picture(1)[:1])
    cotangent = torch.ones_like(layer(picture(2)))
    fresh(picture(2))
    assert torch.equal(layer.backward(cotangent), fresh.backward(cotangent))


@every_layer
def test_an_input_changed_in_place_is_refused_before_anything_is_accumulated(build):
    layer, x = build(), picture()
    cotangent = torch.ones_like(layer(x))
    x.mul_(2)
    with pytest.raises(RuntimeError, match=r"input.*changed in place"):
        layer.backward(cotangent)
    assert all(not gradient.any() for _, gradient in layer.param())


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d", "Upsampling", "Sequential"])
def test_a_parameter_changed_in_place_is_refused(name):
    layer = LAYERS[name]()
    cotangent = torch.ones_like(layer(picture()))
    SGD(layer.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        layer.backward(cotangent)


def test_a_rebound_parameter_counts_from_the_next_forward():
    layer, x = Conv2d(2, 2, 1, bias=False), picture()
    cotangent = torch.ones_like(layer(x))
    expected = layer.backward(cotangent)
    layer.weight.data = torch.zeros_like(layer.weight.data)
    assert torch.equal(layer.backward(cotangent), expected)
    assert not layer(x).any()


@every_layer
def test_a_cotangent_that_does_not_fit_is_refused(build):
    layer = build()
    output = layer(picture())
    for wrong in (output[:1], output[..., :1], output.double(), output.long()):
        with pytest.raises(ValueError, match="grad_output"):
            layer.backward(wrong)
    with pytest.raises(TypeError, match="grad_output"):
        layer.backward(1.0)
    assert all(not gradient.any() for _, gradient in layer.param())


@every_layer
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_autograd_is_off(build, mode):
    layer, x = build(), picture()
    cotangent = torch.ones_like(layer(x))
    expected = layer.backward(cotangent)
    with mode():
        layer(x.clone())
        assert torch.equal(layer.backward(cotangent.clone()), expected)


def test_an_empty_batch_has_shapes_and_zero_gradients():
    layer = Sequential(Conv2d(2, 3, 2), ReLU(), Upsampling(3, 2, 3, 2, padding=1))
    output = layer(picture()[:0])
    assert output.shape == (0, 2, 6, 4)
    assert layer.backward(output).shape == (0, 2, 4, 3)
    assert all(not gradient.any() for _, gradient in layer.param())


def test_a_layer_used_on_its_own_after_the_chain_is_noticed():
    inner = ReLU()
    chain = Sequential(inner, Sigmoid())
    cotangent = torch.ones_like(chain(picture()))
    inner(picture(1))
    with pytest.raises(RuntimeError, match="layer 0, ReLU"):
        chain.backward(cotangent)


def test_a_forward_that_fails_half_way_leaves_no_gradient_to_take():
    chain = Sequential(ReLU(), Conv2d(2, 2, 4))
    cotangent = torch.ones_like(chain(torch.ones(1, 2, 4, 4)))
    with pytest.raises(ValueError, match="input"):
        chain(picture())
    with pytest.raises(RuntimeError, match="before forward"):
        chain.backward(cotangent)


def test_loss_is_fresh_and_checks_the_order_of_calls():
    loss, x, target = MSELoss(), picture().requires_grad_(), picture(1)
    with pytest.raises(RuntimeError, match="before forward"):
        loss.backward()
    assert not loss(x, target).requires_grad
    assert torch.equal(loss.backward(), loss.backward())
    target.zero_()
    with pytest.raises(RuntimeError, match=r"target.*changed in place"):
        loss.backward()


def test_weights_travel_to_torch_nn_and_back():
    ours = Sequential(Conv2d(2, 3, 2), ReLU(), Sequential(Upsampling(3, 2, 1, 2)))
    assert list(ours.state_dict()) == ["0.weight", "0.bias", "2.0.weight", "2.0.bias"]
    conv = Conv2d(2, 3, 2)
    twin = torch.nn.Conv2d(2, 3, 2)
    conv.load_state_dict(twin.state_dict())
    twin.load_state_dict(conv.state_dict())
    assert torch.equal(conv.weight.data, twin.weight)


def test_a_state_dict_is_a_copy_and_loading_is_in_place():
    layer = Conv2d(2, 3, 2)
    state, weight = layer.state_dict(), layer.weight.data
    weight.zero_()
    assert state["weight"].any()
    layer.load_state_dict(state)
    assert layer.weight.data is weight
    assert torch.equal(weight, state["weight"])


def test_to_changes_values_and_gradients_and_forgets_the_forward():
    layer = Sequential(Conv2d(2, 3, 2))
    output = layer(picture())
    assert layer.to("cpu", torch.float64) is layer
    assert all(t.dtype is torch.float64 for pair in layer.param() for t in pair)
    with pytest.raises(RuntimeError, match="before forward"):
        layer.backward(output.double())


def test_zero_grad_follows_a_rebound_parameter():
    parameter = Parameter(torch.ones(2))
    gradient = parameter.grad
    parameter.zero_grad()
    assert parameter.grad is gradient
    parameter.data = torch.ones(3, dtype=torch.float64)
    parameter.zero_grad()
    assert torch.equal(parameter.grad, torch.zeros(3, dtype=torch.float64))


def test_sgd_moves_in_place_and_reads_the_gradient_only():
    parameter = Parameter(torch.ones(2))
    data, parameter.grad = parameter.data, torch.ones(2)
    optimizer = SGD([parameter], lr=1, momentum=0.5)
    optimizer.step()
    optimizer.step()
    assert parameter.data is data
    assert data.tolist() == [-1.5, -1.5]
    assert parameter.grad.tolist() == [1, 1]


def test_the_architecture_is_shown():
    chain = Sequential(
        Conv2d(3, 16, 3, stride=2, padding=1, bias=False), Sequential(NearestUpsampling(2))
    )
    assert repr(chain) == (
        "Sequential(\n"
        "  (0): Conv2d(3, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)\n"
        "  (1): Sequential(\n"
        "    (0): NearestUpsampling(scale_factor=(2.0, 2.0))\n"
        "  )\n"
        ")"
    )
