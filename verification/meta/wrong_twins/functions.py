"""Wrong twins of the activations, norms and losses."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from verification.meta.wrong_twins.wrong import Wrong, computing, giving, taking
from verification.references.index import ROWS

NOTHING = "means_of_nothing_are_torchs"

TWINS = {name: row.twin for name, row in ROWS.items()}
"""The right ones."""


def ignoring(name, argument, value):
    """A layer that takes an argument for its default, whatever it is given."""
    return Wrong(
        name, f"takes {argument} for {value}", taking(TWINS[name], **{argument: lambda a: value})
    )


class Stateless(nn.Module):
    """A layer without arguments and parameters, by its function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def by(function):
    """The constructor of a layer of no arguments that computes this function."""
    return lambda: Stateless(function)


def with_unbiased_variance(self, x):
    """Divides the sum of squares by one less."""
    axes = [-1 - axis for axis in range(len(self.normalized_shape))]
    if math.prod(self.normalized_shape) == 1:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
    y = (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True) + self.eps).sqrt()
    y = y if self.weight is None else y * self.weight
    return y if self.bias is None else y + self.bias


def with_eps_outside_the_root(self, x):
    """Adds eps to the root, not to the mean square."""
    axes = [-1 - axis for axis in range(len(self.normalized_shape))]
    eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
    y = x / (x.square().mean(axes, keepdim=True).sqrt() + eps)
    return y if self.weight is None else y * self.weight


def by_one_statistic(self, x):
    """Normalises all channels of a sample by one mean and variance."""
    return F.group_norm(x, 1, self.weight, self.bias, self.eps)


def a_mean_over_all_labels(self, x, labels):
    """Divides by the number of labels, the ignored ones among them."""
    options = {"weight": self.weight, "ignore_index": self.ignore_index}
    if self.reduction == "sum":
        return F.nll_loss(x, labels, reduction="sum", **options)
    return F.nll_loss(x, labels, reduction="sum", **options) / labels.numel()


class ZeroForNothing(nn.NLLLoss):
    """0 where torch's loss is NaN: every label is ignored."""

    def forward(self, input, target):
        loss = super().forward(input, target)
        counts = target.ne(self.ignore_index).any()
        return loss if counts else torch.zeros_like(loss) + 0 * input.sum()


def without_the_targets_entropy(self, x, target):
    """Leaves out what does not depend on the input."""
    loss = -x * (target.exp() if self.log_target else target)
    count = {"mean": loss.numel(), "batchmean": len(loss), "sum": 1}[self.reduction]
    return loss.sum() / count


FUNCTIONS = [
    Wrong("ReLU", "takes the size", by(torch.abs)),
    ignoring("LeakyReLU", "negative_slope", 0.01),
    ignoring("ELU", "alpha", 1.0),
    ignoring("GELU", "approximate", "none"),
    Wrong("SiLU", "takes a steeper sigmoid", by(lambda x: x * torch.sigmoid(1.702 * x))),
    Wrong("Hardswish", "bends at 2", by(lambda x: x * (x + 2).clamp(0, 4) / 4)),
    Wrong("Sigmoid", "is steeper", by(lambda x: torch.sigmoid(2 * x))),
    Wrong("Tanh", "is a polynomial", by(lambda x: x - x**3 / 3)),
    ignoring("Softplus", "beta", 1.0),
    ignoring("Softmax", "dim", -1),
    Wrong(
        "LogSoftmax",
        "forgets the sum",
        computing(nn.LogSoftmax, lambda self, x: x - x.amax(self.dim, keepdim=True)),
    ),
    ignoring("BatchNorm1d", "eps", 1e-5),
    ignoring("BatchNorm2d", "eps", 1e-5),
    Wrong(
        "InstanceNorm1d",
        "normalises channels together",
        lambda training, **a: computing(nn.InstanceNorm1d, by_one_statistic)(**a).train(training),
    ),
    ignoring("InstanceNorm2d", "eps", 1e-5),
    ignoring("InstanceNorm2d", "track_running_stats", False),
    Wrong("GroupNorm", "makes one group", computing(nn.GroupNorm, by_one_statistic)),
    Wrong("LayerNorm", "divides by n - 1", computing(nn.LayerNorm, with_unbiased_variance)),
    Wrong("RMSNorm", "adds eps to the root", computing(nn.RMSNorm, with_eps_outside_the_root)),
    Wrong(
        "MSELoss",
        "is half as large",
        giving(nn.MSELoss, lambda self, loss: loss / 2),
    ),
    ignoring("L1Loss", "reduction", "mean"),
    ignoring("SmoothL1Loss", "beta", 1.0),
    Wrong(
        "HuberLoss",
        "is divided by delta",
        lambda delta, reduction: nn.SmoothL1Loss(reduction=reduction, beta=delta),
    ),
    ignoring("BCELoss", "reduction", "sum"),
    ignoring("BCEWithLogitsLoss", "pos_weight", None),
    Wrong("NLLLoss", "counts ignored labels", computing(nn.NLLLoss, a_mean_over_all_labels)),
    Wrong("NLLLoss", "is 0 where no label counts", ZeroForNothing, (NOTHING,)),
    ignoring("CrossEntropyLoss", "label_smoothing", 0.0),
    ignoring("CrossEntropyLoss", "weight", None),
    Wrong(
        "KLDivLoss",
        "leaves out the target's entropy",
        computing(nn.KLDivLoss, without_the_targets_entropy),
    ),
]
