"""Classical faults of hand-written activations, norms and losses are found by the rows of their
kinds, by forward alone or by the gradients alone.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from verification.meta.harness import first_failure
from verification.references.index import ROWS
from verification.references.torch_nn import TwinSubject
from verification.subjects.entry import Entry

FORWARD, BACKWARD = "forward_matches_reference", "gradients_match_reference"


class Function(nn.Module):
    """A function of the inputs and of the kind's arguments, with a weight and a bias if any."""

    def __init__(self, function, arguments, shapes):
        super().__init__()
        self.function, self.arguments = function, arguments
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.ones(shape)))

    def forward(self, *inputs):
        return self.function(*inputs, **{**self.arguments, **dict(self.named_parameters())})


def entry_of(kind, function):
    """The entry of a function, judged as that kind."""

    def build(call, dtype, device):
        arguments = call.kwargs
        shapes = {}
        if "normalized_shape" in arguments and arguments["elementwise_affine"]:
            shapes = {"weight": arguments["normalized_shape"]}
            shapes |= {"bias": arguments["normalized_shape"]} if arguments.get("bias") else {}
        return TwinSubject(Function(function, arguments, shapes).to(device, dtype))

    return Entry(f"toy.{kind}", ROWS[kind], build)


def layer_norm(x, normalized_shape, eps, correction=0, inside=True, weight=None, bias=None, **_):
    axes = list(range(-len(normalized_shape), 0))
    variance = x.var(axes, correction=correction, keepdim=True)
    scale = (variance + eps).sqrt() if inside else variance.sqrt() + eps
    y = (x - x.mean(axes, keepdim=True)) / scale
    y = y if weight is None else y * weight
    return y if not isinstance(bias, torch.Tensor) else y + bias


def rms_norm(x, normalized_shape, eps, weight=None, centred=False, **_):
    axes = list(range(-len(normalized_shape), 0))
    x = x - x.mean(axes, keepdim=True) if centred else x
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    y = x / (x.square().mean(axes, keepdim=True) + eps).sqrt()
    return y if weight is None else y * weight


class StraightThrough(torch.autograd.Function):
    """Softmax whose backward is that of independent numbers, y (1 - y)."""

    @staticmethod
    def forward(ctx, x, dim):
        y = x.softmax(dim)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y * (1 - y), None


def cross_entropy(
    x, target, weight, ignore_index, reduction, label_smoothing, probabilities, mean=None
):
    weight = None if weight is None else torch.tensor(weight, dtype=x.dtype)
    arguments = {"weight": weight, "ignore_index": ignore_index, "label_smoothing": label_smoothing}
    if reduction != "mean" or mean is None or probabilities:
        return F.cross_entropy(x, target, **arguments, reduction=reduction)
    return mean(F.cross_entropy(x, target, **arguments, reduction="none"), target, ignore_index)


def mean_over_all(losses, target, ignore_index):
    return losses.mean()


def mean_over_kept(losses, target, ignore_index):
    return losses.sum() / (target != ignore_index).sum()


def kl_mean(x, target, log_target, reduction):
    if reduction == "batchmean":
        return F.kl_div(x, target, reduction="sum", log_target=log_target) / x.numel()
    return F.kl_div(x, target, reduction=reduction, log_target=log_target)


FAULTS = {
    "GELU always by tanh": (
        "GELU",
        lambda x, approximate: F.gelu(x, approximate="tanh"),
        FORWARD,
    ),
    "GELU by a rough sigmoid": ("GELU", lambda x, approximate: x * (1.702 * x).sigmoid(), FORWARD),
    "Softplus without beta below": (
        "Softplus",
        lambda x, beta, threshold: F.softplus(beta * x),
        FORWARD,
    ),
    "ELU with alpha inside": (
        "ELU",
        lambda x, alpha: torch.where(x > 0, x, torch.expm1(alpha * x)),
        FORWARD,
    ),
    "LeakyReLU by a maximum": (
        "LeakyReLU",
        lambda x, negative_slope: torch.maximum(x, negative_slope * x),
        FORWARD,
    ),
    "Softmax along the last axis": ("Softmax", lambda x, dim: x.softmax(-1), FORWARD),
    "Softmax of independent numbers": ("Softmax", StraightThrough.apply, BACKWARD),
    "LogSoftmax as a logarithm": ("LogSoftmax", lambda x, dim: x.softmax(dim).log(), FORWARD),
    "LayerNorm with the unbiased variance": (
        "LayerNorm",
        lambda x, **a: layer_norm(x, correction=1, **a),
        FORWARD,
    ),
    "LayerNorm with eps outside of the root": (
        "LayerNorm",
        lambda x, **a: layer_norm(x, inside=False, **a),
        FORWARD,
    ),
    "RMSNorm of centred numbers": (
        "RMSNorm",
        lambda x, **a: rms_norm(x, centred=True, **a),
        FORWARD,
    ),
    "CrossEntropy with a mean over ignored labels": (
        "CrossEntropyLoss",
        lambda x, t, **a: cross_entropy(x, t, mean=mean_over_all, **a),
        FORWARD,
    ),
    "CrossEntropy with an unweighted mean": (
        "CrossEntropyLoss",
        lambda x, t, **a: cross_entropy(x, t, mean=mean_over_kept, **a),
        FORWARD,
    ),
    "BCE of a sigmoid": (
        "BCEWithLogitsLoss",
        lambda x, t, reduction, pos_weight: F.binary_cross_entropy(
            x.sigmoid(), t, reduction=reduction
        ),
        FORWARD,
    ),
    "SmoothL1 without the half of beta": (
        "SmoothL1Loss",
        lambda x, t, beta, reduction: (
            F.smooth_l1_loss(x, t, beta=beta, reduction=reduction)
            + 0.5 * beta * (reduction == "sum")
        ),
        FORWARD,
    ),
    "Huber as SmoothL1": (
        "HuberLoss",
        lambda x, t, delta, reduction: F.smooth_l1_loss(x, t, beta=delta, reduction=reduction),
        FORWARD,
    ),
    "KLDiv with a mean over all numbers": ("KLDivLoss", kl_mean, FORWARD),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_found(name):
    kind, function, prop = FAULTS[name]
    found = first_failure(entry_of(kind, function), prop)
    assert found is not None
    assert found.discrepancy.finding.kind == "value"


def test_the_same_functions_without_the_fault_pass():
    right = {
        "LayerNorm": layer_norm,
        "RMSNorm": rms_norm,
        "CrossEntropyLoss": cross_entropy,
        "GELU": lambda x, approximate: (
            0.5 * x * torch.special.erfc(-x * math.sqrt(0.5))
            if approximate == "none"
            else F.gelu(x, approximate="tanh")
        ),
    }
    for kind, function in right.items():
        for prop in (FORWARD, BACKWARD):
            assert first_failure(entry_of(kind, function), prop, examples=40) is None
