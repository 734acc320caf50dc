"""Rows of the normalisations.

Sources: S. Ioffe, C. Szegedy, Batch Normalization, algorithm 1; J. Ba and others, Layer
Normalization, (3); Y. Wu, K. He, Group Normalization, (1) to (6); B. Zhang, R. Sennrich, Root Mean
Square Layer Normalization, (4). The variance is the mean of squares, not the unbiased estimate.

One bound serves all ways to compute them: the variance in one pass or two, the layer as one scale
and one shift, the backward with sums of centred numbers or of the numbers themselves. All of these
are the same sums, associated otherwise.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradcheck.subjects import Subject
from verification.cases import LayerCall
from verification.references.laws import running_error_functions as functions
from verification.references.laws.law import INPUT, Computed
from verification.references.laws.running_error import Number
from verification.references.row import Clause, Row, Trait
from verification.strategies.geometries import normalizations
from verification.subjects.trained import EARLIER, Trained

Arguments = Mapping[str, Any]
Numbers = Mapping[str, Number]


def standardised(x: Number, axes: list[int], eps: float) -> Number:
    """(x - mean) / √(variance + eps), the moments taken over some axes."""
    centred = x - x.mean(axes, keepdim=True)
    variance = (centred * centred).mean(axes, keepdim=True)
    return centred * functions.rsqrt(variance + eps)


def scaled(y: Number, tensors: Numbers, shape: list[int]) -> Number:
    """Y weight + bias, as far as they are given, each reshaped to broadcast."""
    if "weight" in tensors:
        y = y * tensors["weight"].moved(lambda t: t.reshape(shape))
    if "bias" in tensors:
        # As one scale and one shift, the bias meets the mean first: it is rounded once more.
        y = y + tensors["bias"].moved(lambda t: t.reshape(shape)).rounded(1)
    return y


def _per_channel(x: Number) -> list[int]:
    """The shape that spreads one number per channel over the tensor."""
    return [1, -1, *[1] * (x.value.dim() - 2)]


def batch_norm(arguments: Arguments, tensors: Numbers) -> Number:
    """Over the batch and all axes after the channels; outside of training with the statistics that
    earlier batches left.
    """
    return _of_channels(arguments, tensors, [0, *_after_channels(tensors[INPUT])])


def instance_norm(arguments: Arguments, tensors: Numbers) -> Number:
    """Over all axes after the channels; outside of training with the statistics, if they are kept,
    that earlier batches left: those of a batch are the means of its samples'.
    """
    return _of_channels(arguments, tensors, _after_channels(tensors[INPUT]))


def _of_channels(arguments: Arguments, tensors: Numbers, axes: list[int]) -> Number:
    x = tensors[INPUT]
    earlier = [t.constant() for name, t in tensors.items() if name.startswith(EARLIER)]
    if not earlier:
        return scaled(standardised(x, axes, arguments["eps"]), tensors, _per_channel(x))
    mean, variance = running_statistics(x, earlier, arguments["momentum"], axes)
    y = (x - mean) * functions.rsqrt(variance + arguments["eps"])
    return scaled(y, tensors, _per_channel(x))


def running_statistics(
    x: Number, batches: Sequence[Number], momentum: float | None, axes: list[int]
) -> tuple[Number, Number]:
    """Mean and variance over some axes after some batches, from 0 and 1 on: each batch counts by
    the momentum, or all alike where it is None. The variance is the unbiased estimate here.
    """
    mean, variance = x.like(0.0), x.like(1.0)
    for step, batch in enumerate(batches, 1):
        weight = 1 / step if momentum is None else momentum
        average = batch.mean(axes, keepdim=True)
        centred = batch - average
        degrees = math.prod(batch.shape[axis] for axis in axes) - 1
        estimate = (centred * centred).sum(axes, keepdim=True) / degrees
        if 0 not in axes:
            average, estimate = (t.mean([0], keepdim=True) for t in (average, estimate))
        mean = (1 - weight) * mean + weight * average
        variance = (1 - weight) * variance + weight * estimate
    return mean, variance


def _after_channels(x: Number) -> list[int]:
    return list(range(2, x.value.dim()))


def group_norm(arguments: Arguments, tensors: Numbers) -> Number:
    """Over the channels of a group and all axes after them."""
    x = tensors[INPUT]
    batch, channels, *axes = x.shape
    groups = arguments["num_groups"]

    def grouped(tensor: Tensor) -> Tensor:
        return tensor.reshape(batch, groups, channels // groups, *axes)

    y = standardised(x.moved(grouped), list(range(2, 3 + len(axes))), arguments["eps"])
    return scaled(y.moved(lambda t: t.reshape(x.shape)), tensors, _per_channel(x))


def layer_norm(arguments: Arguments, tensors: Numbers) -> Number:
    """Over the last axes, those of normalized_shape."""
    shape = list(arguments["normalized_shape"])
    y = standardised(tensors[INPUT], _last(shape), arguments["eps"])
    return scaled(y, tensors, shape)


def rms_norm(arguments: Arguments, tensors: Numbers) -> Number:
    """X / √(mean of x^2 + eps) over the last axes.

    An eps of None is the machine epsilon of the dtype, of float32 for 16-bit ones, as torch has it.
    """
    x, shape, eps = tensors[INPUT], list(arguments["normalized_shape"]), arguments["eps"]
    if eps is None:
        wide = x.precision.dtype == torch.float64
        eps = torch.finfo(torch.float64 if wide else torch.float32).eps
    mean_square = (x * x).mean(_last(shape), keepdim=True)
    return scaled(x * functions.rsqrt(mean_square + eps), tensors, shape)


def _last(shape: list[int]) -> list[int]:
    return list(range(-len(shape), 0))


COTANGENT_ORDER = {
    Clause.AXIS_ORDER: "the gradients are wrong for some cotangents with axes in another order"
}
PARAMETER_GAPS = {
    Clause.PARAMETER_GAPS: "the gradients read a weight as if it had no gaps in memory"
}
NO_EMPTY_INSTANCES = {Clause.EMPTY_BATCH: "an instance norm of no samples raises IndexError"}


def _twin(kind: type[nn.Module], default: bool) -> Callable[..., nn.Module]:
    """The constructor of a norm in the mode that the argument `training` says; `default` is
    whether it has parameters and keeps statistics where nobody says so.
    """

    def build(
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = default,
        track_running_stats: bool = default,
        training: bool = True,
    ) -> nn.Module:
        norm = kind(num_features, eps, momentum, affine, track_running_stats)
        return norm.train(training)

    return build


def _with_a_past(default: bool) -> Callable[[LayerCall, Callable[[], Subject]], Subject]:
    """Outside of training a layer with running statistics is judged by what it was trained on;
    `default` is whether it keeps them where nobody says so.
    """

    def adapted(call: LayerCall, make: Callable[[], Subject]) -> Subject:
        arguments = {"track_running_stats": default, "training": True} | call.kwargs
        past = arguments["track_running_stats"] and not arguments["training"]
        return Trained(make) if past else make()

    return adapted


_SMOOTH = frozenset({Trait.DIFFERENTIABLE, Trait.RESIZABLE})


def _batch_norm(name: str, kind: type[nn.Module], dims: tuple[int, ...]) -> Row:
    return Row(
        name=name,
        law=Computed(batch_norm),
        geometries=functools.partial(normalizations.batch_norms, name=name, dims=dims),
        traits=_SMOOTH,
        # Nothing has no variance.
        clauses=frozenset(Clause) - {Clause.EMPTY_BATCH},
        twin=_twin(kind, default=True),
        departures=COTANGENT_ORDER | PARAMETER_GAPS,
        adapter=_with_a_past(default=True),
    )


def _instance_norm(name: str, kind: type[nn.Module], dims: int) -> Row:
    return Row(
        name=name,
        law=Computed(instance_norm),
        geometries=functools.partial(normalizations.instance_norms, name=name, dims=dims),
        # Samples do not see each other, but earlier batches may stand beside them.
        traits=_SMOOTH,
        twin=_twin(kind, default=False),
        departures=COTANGENT_ORDER | NO_EMPTY_INSTANCES,
        adapter=_with_a_past(default=False),
    )


BATCH_NORM1D = _batch_norm("BatchNorm1d", nn.BatchNorm1d, (0, 1))
BATCH_NORM2D = _batch_norm("BatchNorm2d", nn.BatchNorm2d, (2,))
INSTANCE_NORM1D = _instance_norm("InstanceNorm1d", nn.InstanceNorm1d, 1)
INSTANCE_NORM2D = _instance_norm("InstanceNorm2d", nn.InstanceNorm2d, 2)

GROUP_NORM = Row(
    name="GroupNorm",
    law=Computed(group_norm),
    geometries=normalizations.group_norms,
    traits=_SMOOTH | {Trait.BATCHED},
    twin=nn.GroupNorm,
)

LAYER_NORM = Row(
    name="LayerNorm",
    law=Computed(layer_norm),
    geometries=functools.partial(
        normalizations.last_axes, name="LayerNorm", epsilons=normalizations.EPSILONS
    ),
    traits=frozenset({Trait.DIFFERENTIABLE, Trait.BATCHED}),
    twin=nn.LayerNorm,
)

RMS_NORM = Row(
    name="RMSNorm",
    law=Computed(rms_norm),
    geometries=functools.partial(
        normalizations.last_axes, name="RMSNorm", epsilons=(None, *normalizations.EPSILONS)
    ),
    traits=LAYER_NORM.traits,
    twin=nn.RMSNorm,
)

ROWS = (
    BATCH_NORM1D,
    BATCH_NORM2D,
    INSTANCE_NORM1D,
    INSTANCE_NORM2D,
    GROUP_NORM,
    LAYER_NORM,
    RMS_NORM,
)
