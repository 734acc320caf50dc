"""The arguments that a caller may leave out have torch.nn's defaults."""

import inspect

import pytest
import torch
from torch import nn

import scratch_layers


def defaults(layer_class):
    parameters = inspect.signature(layer_class).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


@pytest.mark.parametrize(
    ("layer_class", "twin"),
    [
        (scratch_layers.Conv2d, nn.Conv2d),
        (scratch_layers.ConvTranspose2d, nn.ConvTranspose2d),
        (scratch_layers.Upsampling, nn.Conv2d),
        (scratch_layers.MSELoss, nn.MSELoss),
        (scratch_layers.SGD, torch.optim.SGD),
    ],
)
def test_defaults_are_torchs(layer_class, twin):
    own, theirs = defaults(layer_class), defaults(twin)
    assert own
    assert {name: theirs[name] for name in own} == own
