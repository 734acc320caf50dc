"""Which gradient is which, in whatever a hand-written backward returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from torch import Tensor

from verification.subjects.driving.ordered import parts
from verification.subjects.driving.parameters import usual_name
from verification.subjects.driving.places import is_array
from verification.subjects.driving.translation import Translation

INPUT_NAMES = ("x", "inp", "inputs", "input", "a_prev", "in_", "y_pred", "pred", "logits", "data")
"""By which names hand-written code calls a layer's input."""

_TARGET_NAMES = (
    *("y", "y_true", "t", "target", "targets", "label", "labels", "gt", "truth", "true", "actual"),
    *("expected", "ground_truth", "desired"),
)
"""By which names it calls what a loss compares its input with."""

_GRADIENT_NAMES = ("g", "gy", "dy", "dz", "da", "delta", "upstream", "cotangent", "err", "error")


def means_a_gradient(name: str) -> bool:
    """Whether an argument of that name takes the gradient of the output."""
    plain = name.lower().strip("_")
    known = plain in _GRADIENT_NAMES or plain.startswith(("dl", "dout", "d_", "dvalue"))
    return known or "grad" in plain or "deriv" in plain


def targets_first(names: Sequence[str]) -> bool:
    """Whether of a loss's two arguments, by their names, the first is its target."""
    means = [name.lower().strip("_") in _TARGET_NAMES for name in names]
    return means == [True, False]


def gradients_by_name(
    returned: Any,
    inputs: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    translation: Translation,
) -> dict[str, Tensor]:
    """The gradients of the latest call by the kind's names, as the suite's tensors."""
    known = {**inputs, **parameters}
    return {
        name: translation.back(name, value, known[name])
        for name, value in named_gradients(returned, known).items()
    }


def named_gradients(returned: Any, known: Mapping[str, Tensor]) -> dict[str, Any]:
    """What was returned, by the kind's names: one gradient is the input's; several stand in the
    order of inputs and parameters, or have names of their own. None is left out.
    """
    if isinstance(returned, Mapping):
        found = {_name_of(str(key), known): value for key, value in returned.items()}
    elif isinstance(returned, (tuple, list)) and any(map(is_array, parts(returned))):
        each = list(parts(returned))
        found = dict(zip(known, _in_order(each, list(known.values())), strict=False))
    else:
        found = {next(iter(known)): returned}
    return {name: g for name, g in found.items() if name in known and g is not None}


def _name_of(key: str, known: Mapping[str, Tensor]) -> str:
    """Which tensor a gradient's name means: "dx", "grad_weight", "dW"."""
    plain = key.lower().removesuffix("_grad").removeprefix("grad_").strip("_")
    for candidate in (plain, plain.removeprefix("d").strip("_")):
        if candidate in known:
            return candidate
        if candidate in INPUT_NAMES:
            return next(iter(known))
        usual = usual_name(candidate, list(known))
        if usual is not None:
            return usual
    return key


def _in_order(returned: Sequence[Any], known: Sequence[Tensor]) -> Sequence[Any]:
    """Gradients in the order of the tensors that they belong to: the input's comes first, or last
    if the sizes say so.
    """
    sizes = [int(numpy.prod(value.shape)) for value in returned if is_array(value)]
    wanted = [tensor.numel() for tensor in known]
    if len(sizes) == len(returned) == len(known) and sizes == wanted[1:] + wanted[:1] != wanted:
        return [returned[-1], *returned[:-1]]
    return returned
