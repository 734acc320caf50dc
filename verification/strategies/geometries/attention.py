"""Geometry of attention: as many heads as there are, queries other in number than keys."""

from __future__ import annotations

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometry import Geometry, Limits, choices, numbers

SCALES = (None, 1.0, 0.3)
"""What scores are multiplied by; None is one over the root of the features."""

SMALL = "within(8)"
"""Larger scores make a step of the softmax, which no difference can tell from a jump."""

TRUTHS = "attn_mask"
"""The fourth input, where it says which query may look at which key."""

ADDED = "attn_bias"
"""The fourth input, where it is added to the scores."""


@st.composite
def attentions(draw: DrawFn, limits: Limits, closed: bool = False) -> Geometry:
    """ScaledDotProductAttention: with heads or without, a causal mask, or a fourth input that
    `mask` names; keys and values have features of their own number. Every query may look at some
    key, unless the mask is one of truths that is `closed` to some.
    """
    batch = draw(choices(limits.batches))
    heads = draw(choices(((), (1,), (2,), (3,))))
    queries, keys = draw(numbers(1, 5)), draw(numbers(1, 5))
    features, values = draw(numbers(1, 4)), draw(numbers(1, 3))
    causal = draw(limits.choose("is_causal", choices((False,) if closed else (False, True))))
    inputs = [
        ("query", (batch, *heads, queries, features)),
        ("key", (batch, *heads, keys, features)),
        ("value", (batch, *heads, keys, values)),
    ]
    scale = draw(limits.choose("scale", choices(SCALES)))
    masks = (TRUTHS,) if closed else ("", TRUTHS, ADDED)
    mask = draw(limits.choose("mask", choices(("",) if causal else masks)))
    if mask:
        shared = draw(choices((False, True))) if heads else False
        ahead = (1,) if shared else heads
        inputs.append((mask, (batch, *ahead, queries, keys)))
    layer = LayerCall.of("ScaledDotProductAttention", is_causal=causal, scale=scale, mask=mask)
    truths = "mask" if closed else "open mask"
    domains = ((TRUTHS, truths), ("query", SMALL), ("key", SMALL), (ADDED, SMALL))
    return Geometry(layer, tuple(inputs), domains=domains)
