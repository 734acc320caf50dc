"""Axes, masks, windows and groups: what goes wrong at some sizes, settings or layouts alone."""

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from verification.meta.functions.judged import (
    CALLS,
    DERIVATIVE,
    LAYOUT,
    SAMPLES,
    SUBSET,
    right,
    wrong,
)


class MasksByMemory(Function):
    """ReLU whose mask is a view of the memory, in the order of the memory."""

    @staticmethod
    def forward(ctx, x):
        flat = x.as_strided((x.numel(),), (1,), x.storage_offset())
        ctx.save_for_backward((flat > 0).view(x.shape))
        return x.relu()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class ScalesRows(Function):
    """w[:, None] * x."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return w[:, None] * x

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return w[:, None] * g, (x * g).sum(1)


class FindsItsAxisBySize(ScalesRows):
    """The axis is looked for from the end, so the wrong one is found where both are equal."""

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        axis = 1 if g.shape[1] == len(w) else 0
        return w[:, None] * g, (x * g).sum(1 - axis)


def causal_mask(q, k):
    """The last query sees every key, an earlier one fewer."""
    return torch.ones(q, k, dtype=torch.bool).tril(k - q)


class CausalAttention(Function):
    """softmax of the allowed scores; the last query sees every key. Needs queries <= keys."""

    @staticmethod
    def forward(ctx, q, k, v):
        scores = (q @ k.mT).masked_fill(~causal_mask(len(q), len(k)), -torch.inf)
        p = scores.softmax(1)
        ctx.save_for_backward(q, k, v, p)
        return p @ v

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        q, k, v, p = ctx.saved_tensors
        return attention_gradients(q, k, v, p, g, causal_mask(len(q), len(k)))


class MasksSquaresOnly(CausalAttention):
    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        q, k, v, p = ctx.saved_tensors
        mask = torch.ones(len(q), len(k), dtype=torch.bool).tril()
        return attention_gradients(q, k, v, p, g, mask)


def attention_gradients(q, k, v, p, g, mask):
    d = g @ v.mT
    scores = p * (d - (p * d).sum(1, keepdim=True)) * mask
    return scores @ k, scores.mT @ q, p.mT @ g


def pad(x, mode):
    if mode == "constant":
        return functional.pad(x, (1, 1))
    if mode == "ones":
        return functional.pad(x, (1, 1), value=1.0)
    return functional.pad(x[None], (1, 1), mode=mode)[0]


class Pads(Function):
    """One more element on either side, in five ways."""

    @staticmethod
    def forward(ctx, x, mode):
        ctx.mode, ctx.shape = mode, x.shape
        return pad(x, mode)

    @staticmethod
    def backward(ctx, g):
        inner = g[:, 1:-1].clone()
        first, last = {"reflect": (1, -2), "replicate": (0, -1), "circular": (-1, 0)}.get(
            ctx.mode, (None, None)
        )
        if first is not None:
            inner[:, first] += g[:, 0]
            inner[:, last] += g[:, -1]
        return inner, None


class PadsLikeReplicate(Pads):
    @staticmethod
    def backward(ctx, g):
        ctx.mode = "replicate" if ctx.mode == "circular" else ctx.mode
        return Pads.backward(ctx, g)


class NoneForAlone(ScalesRows):
    """Returns before w's turn where x asks for nothing."""

    @staticmethod
    def backward(ctx, g):
        if not ctx.needs_input_grad[0]:
            return None, None
        return ScalesRows.backward(ctx, g)


def cumsum_by_groups(x, ids):
    before = torch.cat([ids[:1], ids[:-1]]) if len(ids) else ids
    starts = (ids != before).cumsum(0)
    same = starts[:, None] == starts[None, :]
    return same.tril().to(x.dtype) @ x


class CumsumByGroups(Function):
    """The running sum within every group."""

    @staticmethod
    def forward(ctx, x, ids):
        ctx.save_for_backward(ids)
        return cumsum_by_groups(x, ids)

    @staticmethod
    def backward(ctx, g):
        (ids,) = ctx.saved_tensors
        return cumsum_by_groups(g.flip(0), ids.flip(0)).flip(0), None


class LetsGroupsLeak(CumsumByGroups):
    @staticmethod
    def backward(ctx, g):
        return g.flip(0).cumsum(0).flip(0), None


class KeepsItsMaskOnTheClass(Function):
    """ReLU whose mask the next call replaces."""

    @staticmethod
    def forward(ctx, x):
        KeepsItsMaskOnTheClass.mask = x > 0
        return x.relu()

    @staticmethod
    def backward(ctx, g):
        return g * KeepsItsMaskOnTheClass.mask


def normalises_over_samples(x):
    return (x - x.mean(0)) * 2


def normalises_each_sample(x):
    return functional.layer_norm(x, x.shape[1:])


def weighted_maximum(x, w):
    values, places = (x * w).max(1)
    return values, places


STRUCTURE = [
    right(ScalesRows, inputs={"x": "n c", "w": "n"}),
    right(
        CausalAttention,
        inputs={"q": "m d", "k": "n d", "v": "n e"},
        where="m <= n",
    ),
    right(
        Pads,
        inputs={"x": "n w"},
        where="w >= 2",
        settings={"mode": ["constant", "ones", "reflect", "replicate", "circular"]},
    ),
    right(CumsumByGroups, inputs={"x": "n c", "ids": "n groups(4)"}),
    right(normalises_each_sample, inputs={"x": "n c"}, batch="n"),
    right(weighted_maximum, inputs={"x": "n c", "w": "c"}),
    wrong(MasksByMemory, LAYOUT, inputs={"x": "n c h"}),
    wrong(FindsItsAxisBySize, DERIVATIVE, inputs={"x": "n c", "w": "n"}),
    wrong(
        MasksSquaresOnly, DERIVATIVE, inputs={"q": "m d", "k": "n d", "v": "n e"}, where="m <= n"
    ),
    wrong(
        PadsLikeReplicate,
        DERIVATIVE,
        inputs={"x": "n w"},
        where="w >= 2",
        settings={"mode": ["constant", "ones", "reflect", "replicate", "circular"]},
    ),
    wrong(NoneForAlone, SUBSET, inputs={"x": "n c", "w": "n"}),
    wrong(LetsGroupsLeak, DERIVATIVE, inputs={"x": "n c", "ids": "n groups(4)"}),
    wrong(KeepsItsMaskOnTheClass, CALLS, inputs={"x": "n c"}),
    wrong(normalises_over_samples, SAMPLES, inputs={"x": "n c"}, batch="n"),
]
