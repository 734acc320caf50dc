"""What is no plain function: a forward with its vjp, modules with parameters, custom operators, and
inputs of a domain of one's own.
"""

import torch
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from verification.meta.functions.judged import (
    CALLS,
    DERIVATIVE,
    LINEAR,
    SECOND,
    right,
    wrong,
)

PAIR = {"x": "n c", "t": "n c"}


def huber(x, t):
    d = x - t
    return torch.where(d.abs() < 1, d * d / 2, d.abs() - 0.5).sum()


def huber_vjp(x, t, g):
    d = (x - t).clamp(-1, 1) * g
    return d, -d


def huber_vjp_of_one(x, t, g):
    return huber_vjp(x, t, torch.ones_like(g))


class Scale(Function):
    """x weight + bias, the last axis by its own factor."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return x * weight + bias

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g * weight, (g * x).sum(0), g.sum(0)


class ScaleAsIfOne(Scale):
    """The weight is forgotten, which shows only where it is no longer 1."""

    @staticmethod
    def backward(ctx, g):
        x, _ = ctx.saved_tensors
        return g, (g * x).sum(0), g.sum(0)


class MeansItsBias(Scale):
    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g * weight, (g * x).sum(0), g.mean(0)


class Scaling(nn.Module):
    """A module whose parameters start at 1 and 0."""

    scale = Scale

    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(c))
        self.bias = nn.Parameter(torch.zeros(c))

    def forward(self, x):
        return self.scale.apply(x, self.weight, self.bias)


class ScalingAsIfOne(Scaling):
    scale = ScaleAsIfOne


class MeaningItsBias(Scaling):
    scale = MeansItsBias


def offsets(sizes, generator):
    """Where segments begin: 0, any places in order, the length."""
    inner = torch.randint(0, sizes["n"] + 1, (sizes["b"] - 1,), generator=generator)
    return torch.cat([torch.tensor([0]), inner.sort().values, torch.tensor([sizes["n"]])])


class SegmentSums(Function):
    """Sums of rows from one offset to the next."""

    @staticmethod
    def forward(ctx, x, offsets):
        ctx.save_for_backward(offsets)
        sums = torch.cat([torch.zeros_like(x[:1]), x.cumsum(0)])
        return sums[offsets[1:]] - sums[offsets[:-1]]

    @staticmethod
    def backward(ctx, g):
        (offsets,) = ctx.saved_tensors
        return g.repeat_interleave(offsets.diff(), 0), None


class SegmentSumsOfSome(SegmentSums):
    """An empty segment is taken for one of one row."""

    @staticmethod
    def backward(ctx, g):
        (offsets,) = ctx.saved_tensors
        return g.repeat_interleave(offsets.diff().clamp(min=1), 0)[: int(offsets[-1])], None


SEGMENTS = {
    "inputs": {"x": "n c", "offsets": ("b+1", offsets)},
    "where": "n >= 1 and b >= 1",
}


class KeepsATable(Function):
    """x times 1, 2, ... along its last axis, by a table that the latest call leaves behind."""

    table: torch.Tensor

    @staticmethod
    def forward(ctx, x):
        KeepsATable.table = torch.arange(1, x.shape[1] + 1)
        return x * KeepsATable.table

    @staticmethod
    def backward(ctx, g):
        return g * KeepsATable.table


class NormalisesByWhatIsSaved(Function):
    """x / |x|, whose length is saved where autograd does not see it."""

    @staticmethod
    def forward(ctx, x):
        length = (x * x + 1).sum(1, keepdim=True).sqrt()
        ctx.save_for_backward(x / length, length)
        return x / length

    @staticmethod
    def backward(ctx, g):
        y, length = ctx.saved_tensors
        return (g - y * (g * y).sum(1, keepdim=True)) / length


class Nearest(Function):
    """Squared distances to the nearest of other points, and where it is: far from one point all
    others are as near in float32, and in float64 not.
    """

    @staticmethod
    def forward(ctx, p, q):
        found, places = (p[:, None] - q[None]).square().sum(2).min(1)
        ctx.save_for_backward(p, q, places)
        ctx.mark_non_differentiable(places)
        return found, places

    @staticmethod
    @once_differentiable
    def backward(ctx, g, _):
        p, q, places = ctx.saved_tensors
        d = 2 * g[:, None] * (p - q[places])
        return d, torch.zeros_like(q).index_add(0, places, -d)


class NearestOfEach(Nearest):
    """Of several points with one nearest only the last counts."""

    @staticmethod
    @once_differentiable
    def backward(ctx, g, _):
        p, q, places = ctx.saved_tensors
        d = 2 * g[:, None] * (p - q[places])
        return d, torch.zeros_like(q).index_copy(0, places, -d)


@torch.library.custom_op("functions::cube", mutates_args=())
def cube(x: torch.Tensor) -> torch.Tensor:
    return x**3


@cube.register_fake
def _(x):
    return torch.empty_like(x)


def keeps(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


cube.register_autograd(lambda ctx, g: 3 * ctx.saved_tensors[0] ** 2 * g, setup_context=keeps)


@torch.library.custom_op("functions::square", mutates_args=())
def square_by_cube(x: torch.Tensor) -> torch.Tensor:
    return x**2


@square_by_cube.register_fake
def _(x):
    return torch.empty_like(x)


square_by_cube.register_autograd(
    lambda ctx, g: 3 * ctx.saved_tensors[0] ** 2 * g, setup_context=keeps
)

FORMS = [
    right((huber, huber_vjp), inputs=PAIR),
    right(Scaling, inputs={"x": "n c"}, settings={"c": [1, 2, 3]}),
    right(SegmentSums, **SEGMENTS),
    right(KeepsATable, inputs={"x": "n c"}, same={"c"}),
    right(Nearest, inputs={"p": "n c", "q": "m c"}),
    right(cube, inputs={"x": "n c"}),
    wrong((huber, huber_vjp_of_one), LINEAR, inputs=PAIR),
    wrong(ScalingAsIfOne, DERIVATIVE, inputs={"x": "n c"}, settings={"c": [1, 2, 3]}),
    wrong(
        MeaningItsBias,
        DERIVATIVE,
        says="bias gradient",
        inputs={"x": "n c"},
        settings={"c": [1, 2, 3]},
    ),
    wrong(SegmentSumsOfSome, DERIVATIVE, **SEGMENTS),
    wrong(KeepsATable, CALLS, inputs={"x": "n c"}),
    wrong(NormalisesByWhatIsSaved, SECOND, inputs={"x": "n c"}),
    wrong(NearestOfEach, DERIVATIVE, inputs={"p": "n c", "q": "m c"}),
    wrong(square_by_cube, DERIVATIVE, inputs={"x": "n c"}),
]
