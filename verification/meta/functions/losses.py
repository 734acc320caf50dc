"""Losses: gradients that forget their cotangent, their reduction, or whose memory they write to."""

import torch
from torch.autograd import Function

from verification.meta.functions.judged import (
    AGAIN,
    ALONE,
    CALLS,
    DERIVATIVE,
    LINEAR,
    right,
    wrong,
)

PAIR = {"x": "n c", "t": "n c"}
LABELLED = {"x": "n c", "labels": "n labels(c)"}
IGNORING = {"x": "n c", "labels": "n labels(c, ignored=-100)"}


class SquaredError(Function):
    """The mean or sum of (x - t)^2."""

    @staticmethod
    def forward(ctx, x, t, reduction):
        ctx.save_for_backward(x, t)
        ctx.share = 1 / max(1, x.numel()) if reduction == "mean" else 1.0
        return (x - t).square().sum() * ctx.share

    @staticmethod
    def backward(ctx, g):
        x, t = ctx.saved_tensors
        d = 2 * (x - t) * ctx.share * g
        return d, -d, None


class ForgetsItsCotangent(SquaredError):
    @staticmethod
    def backward(ctx, g):
        x, t = ctx.saved_tensors
        d = 2 * (x - t) * ctx.share
        return d, -d, None


class ForgetsItsReduction(SquaredError):
    @staticmethod
    def backward(ctx, g):
        x, t = ctx.saved_tensors
        d = 2 * (x - t) / max(1, x.numel()) * g
        return d, -d, None


class DoublesAtASecondBackward(SquaredError):
    @staticmethod
    def backward(ctx, g):
        gradients = SquaredError.backward(ctx, g)
        ctx.share = 2 * ctx.share
        return gradients


class ScalesWhatItSaved(Function):
    """x log(1 + x^2) with a saved factor that backward scales where it is."""

    @staticmethod
    def forward(ctx, x):
        ctx.slope = (1 + x * x).log() + 2 * x * x / (1 + x * x)
        return x * (1 + x * x).log()

    @staticmethod
    def backward(ctx, g):
        return ctx.slope.mul_(g)


class OverwritesItsCotangent(Function):
    """3 x with a backward that scales the cotangent where it is."""

    @staticmethod
    def forward(ctx, x):
        return 3 * x

    @staticmethod
    def backward(ctx, g):
        return g.mul_(3)


class CrossEntropy(Function):
    """The mean of -log softmax at the labels, ignored ones left out."""

    @staticmethod
    def forward(ctx, x, labels):
        kept = labels >= 0
        shifted = x - x.amax(1, keepdim=True)
        logs = shifted - shifted.exp().sum(1, keepdim=True).log()
        ctx.save_for_backward(logs.exp(), labels, kept)
        picked = logs.gather(1, labels.clamp(min=0)[:, None])[:, 0]
        return -(picked * kept).sum() / kept.sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        p, labels, kept = ctx.saved_tensors
        d = p.scatter_add(1, labels.clamp(min=0)[:, None], -torch.ones_like(p[:, :1]))
        return d * kept[:, None] / kept.sum() * g, None


class CountsTheIgnored(CrossEntropy):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        p, labels, kept = ctx.saved_tensors
        d = p.scatter_add(1, labels.clamp(min=0)[:, None], -torch.ones_like(p[:, :1]))
        return d * kept[:, None] / len(kept) * g, None


class OverwritesItsLogits(CrossEntropy):
    @staticmethod
    def forward(ctx, x, labels):
        x.sub_(x.amax(1, keepdim=True))
        return CrossEntropy.forward(ctx, x, labels)


class KeepsItsFirstTarget(SquaredError):
    """A target kept on the class by the first call of every size."""

    kept: dict = {}  # noqa: RUF012 - the fault

    @staticmethod
    def forward(ctx, x, t, reduction):
        t = KeepsItsFirstTarget.kept.setdefault((x.shape, x.dtype), t.clone())
        return SquaredError.forward(ctx, x, t, reduction)


def torch_cross_entropy(x, labels):
    return torch.nn.functional.cross_entropy(x, labels)


REDUCTIONS = {"reduction": ["mean", "sum"]}

LOSSES = [
    right(SquaredError, inputs=PAIR, settings=REDUCTIONS),
    right(CrossEntropy, inputs=IGNORING),
    right(torch_cross_entropy, inputs=IGNORING),
    wrong(
        ForgetsItsCotangent,
        LINEAR,
        says="its halves' sum",
        inputs=PAIR,
        settings=REDUCTIONS,
    ),
    wrong(ForgetsItsReduction, DERIVATIVE, inputs=PAIR, settings=REDUCTIONS),
    wrong(DoublesAtASecondBackward, AGAIN, inputs=PAIR, settings=REDUCTIONS),
    wrong(ScalesWhatItSaved, AGAIN, LINEAR, inputs={"x": "n c"}),
    wrong(OverwritesItsCotangent, ALONE, inputs={"x": "n c"}),
    wrong(CountsTheIgnored, DERIVATIVE, inputs=IGNORING),
    wrong(OverwritesItsLogits, ALONE, inputs=LABELLED),
    wrong(KeepsItsFirstTarget, CALLS, DERIVATIVE, inputs=PAIR, settings=REDUCTIONS),
]
