"""Each waiver of torch's activations, norms and losses stands for a departure that is there."""

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn


def test_tanhs_derivative_vanishes_where_it_should_not():
    x = torch.tensor([10.0], requires_grad=True)
    (slope,) = torch.autograd.grad(torch.tanh(x).sum(), x)
    assert slope.item() == 0
    assert math.cosh(10) ** -2 > 8e-9


@pytest.mark.parametrize("function", [F.elu, F.hardswish])
def test_a_nan_has_a_gradient_or_none_depending_on_its_neighbours(function):
    def gradient(count):
        x = torch.full((count,), math.nan, requires_grad=True)
        return torch.autograd.grad(function(x).sum(), x)[0][0]

    assert gradient(1) == 1
    if not gradient(64).isnan():
        pytest.skip("this CPU's vectors compute as one element does")


def test_gelu_of_infinity_depends_on_its_neighbours():
    assert F.gelu(torch.tensor([math.inf])).item() == math.inf
    if not F.gelu(torch.full((64,), math.inf)).isnan().all():
        pytest.skip("this CPU's vectors compute as one element does")


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(2), nn.BatchNorm2d(2)], ids=str)
def test_a_cotangent_with_channels_innermost_is_read_in_the_wrong_order(norm):
    def gradient(cotangent):
        image = torch.zeros(1, 2, 1, 2, requires_grad=True)
        return torch.autograd.grad(norm(image), image, cotangent)[0].round().flatten().tolist()

    cotangent = torch.tensor([0.0, 0.0, 1.0, 0.0]).reshape(1, 2, 1, 2)
    innermost = torch.empty_strided((1, 2, 1, 2), (1, 1, 2, 2)).copy_(cotangent)
    assert gradient(cotangent) == [0, 0, 158, -158]
    assert gradient(innermost) == [-158, 158, 0, 0]


def test_batch_norm_reads_between_the_elements_of_a_weight():
    def gradient(weight):
        x = torch.zeros(1, 2, requires_grad=True)
        y = F.batch_norm(x, torch.zeros(2), torch.ones(2), weight, eps=0.0)
        return torch.autograd.grad(y, x, torch.ones(1, 2))[0].flatten().tolist()

    weight = torch.tensor([1.0, 5.0, 2.0, 5.0])[::2]
    assert gradient(weight.contiguous()) == [1, 2]
    assert gradient(weight) == [1, 5]


def test_an_affine_instance_norm_of_no_samples_raises():
    with pytest.raises(IndexError):
        nn.InstanceNorm2d(1, affine=True)(torch.ones(0, 1, 2, 2))


def test_nll_loss_cannot_differentiate_an_image_in_channels_last():
    image = torch.zeros(1, 2, 1, 2).contiguous(memory_format=torch.channels_last)
    loss = F.nll_loss(image.requires_grad_(), torch.zeros(1, 1, 2, dtype=torch.long))
    with pytest.raises(RuntimeError, match="contiguous"):
        loss.backward()


WEIGHT_GRADIENT = """
import torch

layer = torch.nn.ConvTranspose3d(1, 1, (4, 1, 1), (2, 1, 1), (3, 0, 0), bias=False)
layer(torch.ones(2, 1, 3, 1, 1)).sum().backward()
print(layer.weight.grad.flatten().tolist())
"""


def test_a_transposed_convolution_computes_beside_its_tensors():
    # In a process of its own, which it may end.
    command = [sys.executable, "-c", WEIGHT_GRADIENT]
    seen = subprocess.run(command, capture_output=True, text=True, check=False)
    if seen.stdout == "[2.0, 2.0, 2.0, 2.0]\n":
        pytest.skip("the kernel that oneDNN chooses for this CPU is right")
    assert seen.returncode < 0 or seen.stdout.startswith("[")
