"""A layer with running statistics is judged on what it keeps of the batches that it trained on."""

import pytest
import torch
from torch import nn

from gradcheck.subjects import LayerSubject
from verification import check
from verification.meta.harness import find_failures
from verification.references.rows.normalization import BATCH_NORM1D
from verification.references.torch_nn import TwinSubject
from verification.subjects.entry import Entry, adapted

FORWARD = "forward_matches_reference"


class ByHand:
    """BatchNorm1d without autograd, in training and outside of it."""

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, training):
        self.eps, self.momentum, self.training = eps, momentum, training
        self.running_mean = torch.zeros(num_features) if track_running_stats else None
        self.running_var = torch.ones(num_features)
        self.batches = 0
        self.weight, self.bias = torch.ones(num_features), torch.zeros(num_features)
        self.weight.grad, self.bias.grad = torch.zeros(num_features), torch.zeros(num_features)

    def parameters(self):
        return [self.weight, self.bias]

    def forward(self, x):
        axes = [0, *range(2, x.dim())]
        mean, variance = x.mean(axes), x.var(axes, correction=0)
        if self.training and self.running_mean is not None:
            self.learn(mean, x.var(axes, correction=1))
        elif self.running_mean is not None:
            mean, variance = self.running_mean, self.running_var
        shape = [1, -1, *[1] * (x.dim() - 2)]
        scale = self.weight / (variance + self.eps).sqrt()
        return x * scale.reshape(shape) + (self.bias - mean * scale).reshape(shape)

    def learn(self, mean, variance):
        self.batches += 1
        weight = 1 / self.batches if self.momentum is None else self.momentum
        self.running_mean = (1 - weight) * self.running_mean + weight * mean
        self.running_var = (1 - weight) * self.running_var + weight * variance

    def backward(self, grad_output):
        raise NotImplementedError("only the forward is looked at here")


class Driven(LayerSubject):
    """Such a layer, told to train or not by its attribute."""

    def train(self, mode):
        self.layer.training = mode


class OneRate(ByHand):
    """A momentum of None, which gives all batches the same weight, is taken for the usual one."""

    def learn(self, mean, variance):
        self.momentum = 0.1 if self.momentum is None else self.momentum
        super().learn(mean, variance)


class Reversed(ByHand):
    """The momentum weighs what was there, and not what is new."""

    def learn(self, mean, variance):
        self.momentum = None if self.momentum is None else 1 - self.momentum
        super().learn(mean, variance)


class LatestAlone(ByHand):
    """The statistics are those of the latest batch."""

    def learn(self, mean, variance):
        self.running_mean, self.running_var = mean, variance


class Biased(nn.BatchNorm1d):
    """The variance that is kept is the one that is used in training."""

    def forward(self, x):
        y = super().forward(x)
        if self.training and self.track_running_stats and self.momentum:
            count = x.numel() // x.shape[1]
            with torch.no_grad():
                new = x.var([0, *range(2, x.dim())], correction=1)
                self.running_var -= self.momentum * new / count
        return y


def by_hand(kind):
    def build(call, dtype, device):
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            return Driven(kind(**call.kwargs))
        finally:
            torch.set_default_dtype(default)

    return Entry("toy.BatchNorm1d", BATCH_NORM1D, adapted(BATCH_NORM1D, build))


def module(kind):
    def build(call, dtype, device):
        arguments = call.kwargs
        training = arguments.pop("training")
        return TwinSubject(kind(**arguments).to(device, dtype).train(training))

    return Entry("toy.BatchNorm1d", BATCH_NORM1D, adapted(BATCH_NORM1D, build))


def test_right_layers_pass():
    assert find_failures(by_hand(ByHand), FORWARD, examples=60) == []
    assert find_failures(module(nn.BatchNorm1d), FORWARD, examples=60) == []


@pytest.mark.parametrize("wrong", [OneRate, Reversed, LatestAlone])
def test_wrong_statistics_are_found(wrong):
    (found,) = find_failures(by_hand(wrong), FORWARD)
    assert not found.case.layer.kwargs["training"]


def test_a_biased_variance_is_found():
    (found,) = find_failures(module(Biased), FORWARD)
    assert not found.case.layer.kwargs["training"]


def never_drops(x, p=0.5):
    return x * 1.0


def test_a_mode_is_not_assumed():
    # Outside of training it would be right.
    asked = {"properties": ["forward_matches_reference"], "dtypes": ["float64"], "examples": 10}
    assert not check(never_drops, like="Dropout", supervised=False, **asked).ok
