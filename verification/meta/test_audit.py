"""The audit tells kernels and waits from plain arithmetic."""

import pytest
import torch
import torch.nn.functional as F

from verification.trials.audit import Audit, GraphAudit

LINEAR = "mkldnn::_linear_pointwise"
x = torch.arange(-8.0, 8.0).reshape(1, 1, 4, 4)


@pytest.mark.parametrize(
    ("act", "kernel"),
    [
        (lambda: F.conv2d(x, x), "convolution"),
        (lambda: F.interpolate(x, scale_factor=2), "upsample_nearest2d"),
        (lambda: F.max_pool2d(x, 2), "max_pool2d_with_indices"),
        (lambda: F.pad(x, (1, 1)), "constant_pad_nd"),
        (lambda: torch.relu(x), "relu"),
        (lambda: torch.sigmoid(x), "sigmoid"),
        (lambda: F.mse_loss(x, x), "mse_loss"),
        (lambda: _differentiate(torch.sigmoid), "sigmoid_backward"),
        pytest.param(lambda: _linear(None, "relu"), LINEAR, id="linear, relu"),
        pytest.param(lambda: _linear(x[0, 0, 0], "none"), LINEAR, id="linear, bias"),
    ],
)
def test_kernels_are_named(act, kernel):
    with Audit() as audit:
        act()
    assert kernel in audit.kernels


def _linear(bias, activation):
    """oneDNN's x x^T, to which it may add a bias and apply an activation."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    torch.ops.mkldnn._linear_pointwise(x[0, 0], x[0, 0], bias, activation, [], "")


def _differentiate(function):
    leaf = x.clone().requires_grad_()
    torch.autograd.grad(function(leaf).sum(), leaf)


@pytest.mark.parametrize(
    ("act", "waiting"),
    [
        (lambda: bool(x.any()), "_local_scalar_dense"),
        (lambda: x[x > 0], "index"),
        (lambda: x.clone().masked_select(x > 0), "masked_select"),
        (lambda: x.nonzero(), "nonzero"),
        (lambda: torch.equal(x, x), "equal"),
    ],
)
def test_waits_are_named(act, waiting):
    with Audit() as audit:
        act()
    assert waiting in audit.waiting


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda: x @ x + x.mT.exp(), id="arithmetic"),
        pytest.param(lambda: _linear(None, "none"), id="product"),
        pytest.param(lambda: x.unfold(2, 2, 1).sum(-1), id="views"),
        pytest.param(lambda: F.fold(F.unfold(x, 2), (4, 4), 2), id="unfold and fold"),
        pytest.param(lambda: x[:, :, torch.tensor([1, 2])], id="indexing"),
        pytest.param(lambda: x.masked_fill(x > 0, 0).clamp(min=0), id="masks"),
    ],
)
def test_arithmetic_views_and_unfold_are_let_through(act):
    with Audit() as audit:
        act()
    assert not audit.kernels
    assert not audit.waiting


def test_a_graph_is_seen_when_it_grows():
    leaf = x.clone().requires_grad_()
    with GraphAudit() as audit:
        leaf.detach() + 1
        assert not audit.recorded
        leaf * 2
    assert list(audit.recorded) == ["mul"]
