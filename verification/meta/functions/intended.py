"""Gradients that are not the derivative on purpose: right as declared, wrong as derivatives."""

import torch
from torch.autograd import Function

from verification.meta.functions.judged import DERIVATIVE, LINEAR, right, wrong

ONE = {"x": "n c"}


class StraightThrough(Function):
    """round(x) with the derivative of x."""

    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


class StraightThroughTwice(StraightThrough):
    @staticmethod
    def backward(ctx, g):
        return 2 * g


def itself(x):
    return x


class Clips(Function):
    """x with a gradient that is clipped to [-1/2, 1/2]."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g.clamp(-0.5, 0.5)


def clipped(x, g):
    return g.clamp(-0.5, 0.5)


def clipped_wider(x, g):
    return g.clamp(-0.75, 0.75)


class Reverses(Function):
    """sin(x) with its gradient reversed."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return -x.cos() * g


class Truncates(Function):
    """x / (1 - a) for a in [0, 1/4], differentiated as x times a few terms of the series."""

    @staticmethod
    def forward(ctx, x):
        return x / 0.75

    @staticmethod
    def backward(ctx, g):
        return g * (1 + 0.25 + 0.25**2)


class RoundsAtRandom(Function):
    """x rounded up or down at random, so that its mean is x."""

    @staticmethod
    def forward(ctx, x):
        return (x + torch.rand_like(x)).floor()

    @staticmethod
    def backward(ctx, g):
        return g


class DropsHalf(Function):
    """x or 0 at random, with the kept ones doubled, so that its mean is x; and a backward that
    forgets the factor.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.kept = torch.rand_like(x) < 0.5
        return 2 * x * ctx.kept

    @staticmethod
    def backward(ctx, g):
        return g * ctx.kept


class GatesByAConstant(Function):
    """x gate, where the gate is given and has no gradient by contract."""

    @staticmethod
    def forward(ctx, x, gate):
        ctx.save_for_backward(gate)
        return x * gate

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None


GATED = {"x": "n c", "gate": "n c"}

INTENDED = [
    right(StraightThrough, inputs=ONE, derivative_of=itself),
    right(Clips, inputs=ONE, vjp=clipped),
    right(Reverses, inputs=ONE, scaled_by=-1),
    right(Truncates, inputs=ONE, approximate=0.02),
    right(RoundsAtRandom, inputs=ONE, stochastic=itself),
    right(GatesByAConstant, inputs=GATED, constant={"gate"}),
    wrong(StraightThrough, DERIVATIVE, says="declare derivative_of", inputs=ONE),
    wrong(StraightThroughTwice, DERIVATIVE, inputs=ONE, derivative_of=itself),
    wrong(Clips, LINEAR, inputs=ONE),
    wrong(Clips, DERIVATIVE, inputs=ONE, vjp=clipped_wider),
    wrong(Reverses, DERIVATIVE, says="declare scaled_by=-1", inputs=ONE),
    wrong(Reverses, DERIVATIVE, inputs=ONE, scaled_by=-2),
    wrong(Truncates, DERIVATIVE, inputs=ONE, approximate=0.001),
    wrong(DropsHalf, DERIVATIVE, inputs=ONE, stochastic=itself),
    wrong(GatesByAConstant, DERIVATIVE, says="declare constant={'gate'}", inputs=GATED),
]
