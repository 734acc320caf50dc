"""Rows of the losses that judge classes and outcomes.

Source of the formulas: torch's documentation of each. Labels have no gradient; targets that are
probabilities have one.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from verification.references.laws import running_error_functions as functions
from verification.references.laws.law import INPUT, Computed
from verification.references.laws.running_error import Number
from verification.references.row import Clause, Nothing, Row, Trait
from verification.references.rows.losses import LOSS_CLAUSES, TARGET, reduced
from verification.strategies.geometries import losses as strategies
from verification.strategies.geometries.activations import Options

Arguments = Mapping[str, Any]
Numbers = Mapping[str, Number]


def bce(arguments: Arguments, tensors: Numbers) -> Number:
    """-(t log p + (1 - t) log(1 - p)) for p between 0 and 1."""
    p, t = tensors[INPUT], tensors[TARGET]
    return reduced(-(t * functions.log(p) + (1 - t) * functions.log(1 - p)), arguments["reduction"])


def bce_with_logits(arguments: Arguments, tensors: Numbers) -> Number:
    """The same of p = σ(x), with t log p weighted: (1 - t) x - (w t + 1 - t) log σ(x).

    As (σ(x) - t) g the gradient rounds a product too.
    """
    x, t = tensors[INPUT], tensors[TARGET]
    weight = arguments["pos_weight"]
    # The slope in t is -x - (w - 1) log σ(x): at an infinite x it is that of its first term.
    finite = functions.certainly(x.value.isfinite())
    weighted = functions.where(finite, t, t.constant())
    # As w t + (1 - t) the factor rounds what 1 + (w - 1) t takes off beforehand.
    factor = 1 if weight is None else 1 + (t.like(torch.tensor(weight)) - 1) * weighted
    return reduced(
        (1 - t) * x.rounded(1) - factor * functions.log_sigmoid(x), arguments["reduction"]
    )


def nll(arguments: Arguments, tensors: Numbers) -> Number:
    """-w_t x_t, where x_t is the entry of the label's class; a mean is over the weights of labels
    that are not ignored, and NaN if all are.
    """
    return _labelled(tensors[INPUT], tensors[TARGET].value, arguments, smoothing=0.0)


def cross_entropy(arguments: Arguments, tensors: Numbers) -> Number:
    """The same of log softmax, mixed with the mean over all classes by `label_smoothing`; against
    probabilities t of all classes -Σ w t x, whose mean is over the samples.
    """
    logarithm = functions.log_softmax(tensors[INPUT], 1)
    smoothing = arguments["label_smoothing"]
    if arguments["probabilities"]:
        classes = logarithm.shape[1]
        t = (1 - smoothing) * tensors[TARGET] + smoothing / classes
        terms = _weights(arguments, classes) * t * logarithm
        return reduced(-terms.sum(1), arguments["reduction"])
    return _labelled(logarithm, tensors[TARGET].value, arguments, smoothing)


def _labelled(x: Number, labels: Tensor, arguments: Arguments, smoothing: float) -> Number:
    classes = x.shape[1]
    kept = labels != arguments["ignore_index"]
    label = labels.long().where(kept, 0)
    weights = _weights(arguments, classes)
    weight = weights[label].where(kept, 0.0)
    terms = -weight * x.moved(lambda t: t.gather(1, label.unsqueeze(1)).squeeze(1))
    if smoothing:
        each = weights.reshape(-1, *[1] * (x.value.dim() - 2))
        terms = (1 - smoothing) * terms - (smoothing / classes) * (each * x).sum(1)
    terms = functions.where(functions.certainly(kept), terms, 0.0)
    if arguments["reduction"] != "mean":
        return reduced(terms, arguments["reduction"])
    return terms.sum() / x.like(weight).sum()


def _weights(arguments: Arguments, classes: int) -> Tensor:
    return torch.tensor(arguments["weight"] or [1.0] * classes, dtype=torch.float64)


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """torch's loss. `probabilities` says that the target is the probability of every class; a loss
    that takes labels alone does not take that argument.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = strategies.IGNORED_BY_DEFAULT,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        probabilities: bool = False,
    ) -> None:
        super().__init__(
            weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
        )


def kl_divergence(arguments: Arguments, tensors: Numbers) -> Number:
    """The divergence t (log t - x), -t x where t is 0; with `log_target` the target is log t."""
    x, t = tensors[INPUT], tensors[TARGET]
    if arguments["log_target"]:
        terms = functions.exp(t) * (t - x)
    else:
        terms = functions.times_own_log(t) - t * x
    return reduced(terms, arguments["reduction"])


def _row(
    name: str,
    function: Callable[..., Number],
    geometries: Any,
    twin: Any,
    departures: Mapping[Clause, str] | None = None,
    nothing: Nothing | None = None,
) -> Row:
    return Row(
        name=name,
        law=Computed(function),
        geometries=functools.partial(geometries, name=name),
        traits=frozenset({Trait.DIFFERENTIABLE}),
        clauses=LOSS_CLAUSES,
        twin=twin,
        departures=departures or {},
        nothing=nothing,
        tensor_arguments=frozenset({"weight", "pos_weight"}),
        constants=(TARGET,),
    )


BCE_LOSS = _row(
    "BCELoss",
    bce,
    functools.partial(
        strategies.pointwise, options={}, domains=(("input", "open unit"), ("target", "unit"))
    ),
    nn.BCELoss,
)

BCE_WITH_LOGITS_LOSS = _row(
    "BCEWithLogitsLoss",
    bce_with_logits,
    strategies.weighted_outcomes,
    nn.BCEWithLogitsLoss,
)


def _labelled_row(
    name: str,
    function: Callable[..., Number],
    twin: Any,
    options: Options,
    departures: Mapping[Clause, str] | None = None,
) -> Row:
    geometries = functools.partial(strategies.labelled, options=options)
    ignored = functools.partial(geometries, name=name, all_ignored=True)
    nothing = Nothing("ignore_index", ignored)
    return _row(name, function, geometries, twin, departures, nothing)


NLL_LOSS = _labelled_row(
    "NLLLoss",
    nll,
    nn.NLLLoss,
    {},
    {Clause.AXIS_ORDER: "the backward of an image raises where its axes are in another order"},
)

CROSS_ENTROPY_LOSS = _labelled_row(
    "CrossEntropyLoss",
    cross_entropy,
    CrossEntropyLoss,
    {"label_smoothing": (0.0, 0.5, 0.1, 1.0), "probabilities": (False, True)},
)

KL_DIV_LOSS = _row(
    "KLDivLoss",
    kl_divergence,
    functools.partial(
        strategies.pointwise,
        options={"log_target": (False, True)},
        # torch warns of "mean", which divides by more than the batch.
        reductions=("batchmean", "sum", "none"),
        domains=(("target", "unit"),),
    ),
    nn.KLDivLoss,
)

ROWS = (BCE_LOSS, BCE_WITH_LOGITS_LOSS, NLL_LOSS, CROSS_ENTROPY_LOSS, KL_DIV_LOSS)
