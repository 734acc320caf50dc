"""Right functions that simpler tools have raised alarms against, and wrong ones beside them."""

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from verification.meta.functions.judged import DERIVATIVE, REFERENCE, right, wrong

ONE = {"x": "n c"}
SQUARE = {"a": "k k positive definite"}


def identity(x):
    return x


class AddsInPlace(Function):
    """x + 1 where x is, as it says by mark_dirty."""

    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.add_(1)

    @staticmethod
    def backward(ctx, g):
        return g


def drops_some(x):
    return x * (torch.rand_like(x) < 0.5) * 2


def computes_in_float32(x):
    return (x.float().tanh() * 3).to(x.dtype)


def takes_float32_alone(x):
    if x.dtype == torch.float64:
        raise TypeError("float32, please")
    return x.sin()


def makes_its_own_tensors(x):
    return x @ torch.ones(x.shape[1], 2)


class Modulus(Function):
    """sqrt(x^2 + y^2), whose derivative at the origin is chosen to be 0."""

    @staticmethod
    def forward(ctx, x, y):
        r = torch.hypot(x, y)
        ctx.save_for_backward(x, y, r)
        return r

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, y, r = ctx.saved_tensors
        away = torch.where(r == 0, torch.ones_like(r), r)
        return x / away * g, y / away * g


class LogDeterminant(Function):
    """log det of a symmetric matrix, of which the lower triangle is read and differentiated."""

    @staticmethod
    def forward(ctx, a):
        factor = torch.linalg.cholesky(a)
        ctx.save_for_backward(factor)
        return 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (factor,) = ctx.saved_tensors
        inverse = torch.cholesky_inverse(factor)
        return g * (2 * inverse.tril(-1) + inverse * torch.eye(len(inverse), dtype=g.dtype))


class HalvesTheTriangle(LogDeterminant):
    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (factor,) = ctx.saved_tensors
        return g * torch.cholesky_inverse(factor).tril()


def entropy(p):
    return torch.special.entr(p).sum(-1)


def cosines(x, y):
    return (x * y).sum(-1)


def interpolate(knots, values, at):
    """Straight lines between knots; at lies between the first and the last."""
    x = knots[0] + (knots[-1] - knots[0]) * at
    i = torch.searchsorted(knots.detach().contiguous(), x.detach().contiguous()).clamp(
        1, len(knots) - 1
    )
    share = (x - knots[i - 1]) / (knots[i] - knots[i - 1])
    return values[i - 1] * (1 - share) + values[i] * share


class Ceiling(Function):
    """(x, x > 1 or not): the second output has no derivative, by its own word."""

    @staticmethod
    def forward(ctx, x):
        high = (x > 1).to(x.dtype)
        ctx.mark_non_differentiable(high)
        ctx.save_for_backward(high)
        return x.clamp(max=1.0), high

    @staticmethod
    def backward(ctx, g, _):
        return g * (1 - ctx.saved_tensors[0])


def softplus_by_hand(x):
    return torch.logaddexp(x, torch.zeros_like(x))


def softplus_by_maximum(x):
    """The same numbers, and at 0 a derivative of 1 in the place of 1/2."""
    return x.clamp(min=0) + torch.log1p((-x.abs()).exp())


def softplus(x):
    # Beyond its threshold torch's own leaves the logarithm out, which float64 would show.
    return torch.nn.functional.softplus(x, threshold=1000)


def softplus_of_twice(x):
    return torch.log1p((-x.abs()).exp()) + x.clamp(min=0) * 2


class RoundsItsGradient(Function):
    """sin(x) with a gradient that went through float32."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return (x.float().cos() * g.float()).to(g.dtype)


def masks(x, mask):
    return x.masked_fill(mask, 0.0)


def permutes(x, order):
    return x[order] ** 2


INNOCENT = [
    right(identity, inputs=ONE),
    right(AddsInPlace, inputs=ONE),
    right(drops_some, inputs=ONE),
    right(computes_in_float32, inputs=ONE),
    right(takes_float32_alone, inputs=ONE),
    right(makes_its_own_tensors, inputs=ONE),
    right(Modulus, inputs={"x": "n c", "y": "n c"}),
    right(LogDeterminant, inputs=SQUARE),
    right(entropy, inputs={"p": "n k simplex"}),
    right(cosines, inputs={"x": "n k unit norm", "y": "n k unit norm"}),
    right(interpolate, inputs={"knots": "k sorted", "values": "k", "at": "n unit"}, where="k >= 2"),
    right(Ceiling, inputs=ONE),
    right(softplus_by_hand, inputs=ONE, reference=softplus),
    right(masks, inputs={"x": "n c", "mask": "n c mask"}),
    right(permutes, inputs={"x": "n c", "order": "n permutation"}),
    wrong(HalvesTheTriangle, DERIVATIVE, inputs=SQUARE),
    wrong(softplus_of_twice, REFERENCE, inputs=ONE, reference=softplus),
    wrong(softplus_by_maximum, REFERENCE, inputs=ONE, reference=softplus),
    wrong(RoundsItsGradient, DERIVATIVE, inputs=ONE),
]
