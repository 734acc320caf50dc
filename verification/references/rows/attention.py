"""The row of scaled dot-product attention.

Source: torch.nn.functional.scaled_dot_product_attention's documentation; a query that may look at
no key gets zeros, which torch's implementations give and the documentation does not say.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verification.references.laws.enclosure import Enclosure
from verification.references.laws.law import Computed
from verification.references.laws.running_error import Number, Pull, stored
from verification.references.laws.running_error_functions import Choice, exp, log, where
from verification.references.row import Clause, Nothing, Row, Trait
from verification.strategies.geometries import attention


class ScaledDotProductAttention(nn.Module):
    """torch's function as a module. `mask` says what the fourth input is called, if there is one;
    a layer that takes none does not take that argument.
    """

    def __init__(self, is_causal: bool = False, scale: float | None = None, mask: str = "") -> None:
        super().__init__()
        self.is_causal = is_causal
        self.scale = scale

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
    ) -> Tensor:
        """Attention of (..., queries, features) to (..., keys, features), without dropout."""
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal=self.is_causal, scale=self.scale
        )


def _attention(arguments: Mapping[str, Any], tensors: Mapping[str, Number]) -> Number:
    """softmax(scale q k^T + bias) v. The bias is taken as given: it has no gradient here."""
    query, key, value = (tensors[name] for name in ("query", "key", "value"))
    scale = arguments["scale"] or 1 / math.sqrt(query.shape[-1])
    # Half of the scale on each side, as torch has it: more roundings than one product afterwards.
    half = math.sqrt(scale)
    scores = (half * query) @ _transposed(half * key)
    looks = torch.ones(scores.shape, dtype=torch.bool)
    if arguments["is_causal"]:
        looks = looks.tril()
    if attention.TRUTHS in tensors:
        looks = looks & (tensors[attention.TRUTHS].value != 0)
    if attention.ADDED in tensors:
        scores = scores + tensors[attention.ADDED].constant()
    return _averaged(looks, scores, value)


def _averaged(looks: Tensor, scores: Number, value: Number) -> Number:
    """The softmax of the scores that count, over the last axis, times the values; zeros where none
    counts.

    Backward, with weights y: y^T g for the values and y (d - Σ d y) for the scores, d = g v^T. A
    fused kernel keeps log Σ e^score alone and takes it off the scores to have y again, which errs
    by a unit of roundoff of the scores' size; so the weights are bounded in that way too.
    """
    inner = scores.constant()
    e = inner.enclosure
    highest = e.value.where(looks, -math.inf).amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    off = e.error.where(looks, 0.0).amax(-1, keepdim=True)
    peak = inner.made(Enclosure(highest, off, highest.abs(), e.exact))
    # What does not count must not overflow before it is taken out.
    counted = where(Choice(looks, torch.zeros_like(looks)), inner, peak)
    power = exp(counted - peak) * looks.double()
    nothing = (~looks.any(-1, keepdim=True)).double()
    total = power.sum(-1, keepdim=True) + nothing
    output = (power / total) @ value.constant()

    again = exp(counted - (peak + log(total))) * looks.double()

    def to_scores(g: Number) -> Number:
        d = g @ _transposed(value)
        return stored(again * (d - (d * again).sum(-1, keepdim=True)))

    return value.made(
        output.enclosure,
        Pull(scores, to_scores),
        Pull(value, lambda g: _transposed(again) @ g),
    )


def _transposed(number: Number) -> Number:
    return number.moved(lambda t: t.transpose(-2, -1))


ATTENTION = Row(
    name="ScaledDotProductAttention",
    law=Computed(_attention),
    geometries=attention.attentions,
    traits=frozenset({Trait.BATCHED, Trait.DIFFERENTIABLE}),
    # An infinite score makes its softmax NaN, or is the one that counts: a matter of the algorithm.
    clauses=frozenset(Clause) - {Clause.NON_FINITE},
    twin=ScaledDotProductAttention,
    nothing=Nothing("mask", functools.partial(attention.attentions, closed=True), attention.TRUTHS),
    departures={Clause.FRESH_OUTPUTS: "the output is kept, and writing to it changes the backward"},
)

ROWS = (ATTENTION,)
