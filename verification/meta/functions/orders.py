"""Second derivatives, forward mode, vmap, kept graphs: what autograd asks beyond one backward."""

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from verification.meta.functions.judged import (
    BETWEEN,
    DERIVATIVE,
    FORWARD_MODE,
    SECOND,
    UNUSED,
    VMAP,
    right,
    wrong,
)

ONE = {"x": "n c"}


class Cube(Function):
    """x^3, twice differentiable since autograd sees its backward."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


class CubeOnce(Cube):
    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


class CubeDetached(Cube):
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * (x * x * g).detach()


class CubeHalfSeen(Cube):
    """The square is saved as a number, so the second derivative misses a factor."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.square = x * x
        return x**3

    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.square * g


class Kernel(Function):
    """exp(-x^2 / s), whose derivative in s is right once and, in s again, zero."""

    @staticmethod
    def forward(ctx, x, s):
        ctx.save_for_backward(x, s)
        return (-x * x / s).exp()

    @staticmethod
    def backward(ctx, g):
        x, s = ctx.saved_tensors
        y = (-x * x / s).exp()
        along = x * x / (s * s)
        return -2 * x / s * y * g, (along.detach() * y.detach() * g).sum()


def kernel(x, s):
    return (-x * x / s).exp()


class CubeForward(Function):
    """x^3 with forward mode."""

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g

    @staticmethod
    def jvp(ctx, u):
        (x,) = ctx.saved_tensors
        return 3 * x * x * u


class CubeForwardHalf(CubeForward):
    @staticmethod
    def jvp(ctx, u):
        (x,) = ctx.saved_tensors
        return 3 * x * u


class RowSums(Function):
    """Sums along axis 0, with a rule for vmap."""

    @staticmethod
    def forward(x):
        return x.sum(0)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.length = inputs[0].shape[0]

    @staticmethod
    def backward(ctx, g):
        return g.expand(ctx.length, *g.shape)

    @staticmethod
    def vmap(info, in_dims, x):
        return RowSums.apply(x.movedim(in_dims[0], 1)), 0


class RowSumsAlongTheMap(RowSums):
    """Its rule forgets that one axis more stands in front."""

    @staticmethod
    def vmap(info, in_dims, x):
        return x.movedim(in_dims[0], 0).sum(-1), 0


class Reversible(Function):
    """exp(x) with its output saved, so that autograd sees what becomes of it."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return y * g


class RebuildsItsInput(Function):
    """exp(x), whose derivative is read from the memory of the output, which others may change."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.memory = y.untyped_storage()
        ctx.shape = y.shape
        return y

    @staticmethod
    def backward(ctx, g):
        y = torch.empty(0, dtype=g.dtype).set_(ctx.memory).view(ctx.shape)
        return y * g


class TwoOutputs(Function):
    """x + w and x w."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x + w, x * w

    @staticmethod
    def backward(ctx, first, second):
        x, w = ctx.saved_tensors
        return first + second * w, first + second * x


class TwoOutputsBothUsed(TwoOutputs):
    @staticmethod
    def forward(ctx, x, w):
        ctx.set_materialize_grads(False)
        return TwoOutputs.forward(ctx, x, w)

    @staticmethod
    def backward(ctx, first, second):
        if first is None or second is None:
            return None, None
        return TwoOutputs.backward(ctx, first, second)


class NanAtZero(Function):
    """|x| with x / |x| as its derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.abs()

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return x / x.abs() * g


ORDERS = [
    right(Cube, inputs=ONE),
    right(CubeOnce, inputs=ONE),
    right(kernel, inputs={"x": "n c", "s": "positive"}),
    right(CubeForward, inputs=ONE),
    right(RowSums, inputs=ONE),
    right(Reversible, inputs=ONE),
    right(TwoOutputs, inputs={"x": "n c", "w": "n c"}),
    wrong(CubeDetached, SECOND, says="without a graph", inputs=ONE),
    wrong(CubeHalfSeen, SECOND, inputs=ONE),
    wrong(Kernel, SECOND, inputs={"x": "n c", "s": "positive"}),
    wrong(CubeForwardHalf, FORWARD_MODE, inputs=ONE),
    wrong(RowSumsAlongTheMap, VMAP, inputs=ONE),
    wrong(RebuildsItsInput, BETWEEN, inputs=ONE),
    wrong(TwoOutputsBothUsed, UNUSED, inputs={"x": "n c", "w": "n c"}),
    wrong(NanAtZero, DERIVATIVE, inputs=ONE),
]
