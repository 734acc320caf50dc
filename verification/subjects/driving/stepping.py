"""A layer that learns while it differentiates: its backward is given a learning rate, or the layer
was built with one, and moves the parameters itself. By what it moves them shows their gradients.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor

RATES = ("lr", "learning_rate", "learningRate", "learn_rate", "lrate", "eta", "step_size")
"""By which names hand-written layers call a learning rate."""

_NOTHING = ("momentum", "weight_decay", "lambda_", "lmbda", "lam", "reg", "l2")
"""By which names a backward calls what else a step depends on; 0 leaves a plain step."""


_SPARE = 16
"""Powers of two between the sum of products and the largest number: a formula may do more."""


class Held(Protocol):
    """A parameter of a layer, as far as a step changes it."""

    @property
    def value(self) -> Tensor:
        """The tensor that the layer reads now."""

    @property
    def gradient(self) -> Tensor | None:
        """What its latest backward left."""

    def rebind(self, value: Tensor) -> None:
        """Let the layer use this value."""


def with_rate(
    layer: Any, backward: Callable[..., Any], tensors: Iterable[Tensor]
) -> tuple[Callable[..., Any], float]:
    """The backward of the cotangent alone, at a rate for a step in these tensors, and that rate; 0
    where it takes none, so that it does not step.
    """
    taken = inspect.signature(backward).parameters
    held = [name for name in RATES if _is_number(getattr(layer, name, None))]
    if not held and not any(name in RATES for name in taken):
        return backward, 0.0
    rate = _large_rate(tensors)
    for name in held:
        setattr(layer, name, rate)
    given = {name: rate if name in RATES else 0.0 for name in taken if name in (*RATES, *_NOTHING)}
    return functools.partial(backward, **given), rate


def _large_rate(tensors: Iterable[Tensor]) -> float:
    """A rate beside whose steps the parameters themselves do not count: a power of two, so that
    w - rate * g, for any g that is not tiny, is -rate * g without a further rounding; as large as
    the products of these tensors, summed, let it be.
    """
    known = [t.detach() for t in tensors if t.is_floating_point() and t.numel()]
    exponents = [math.frexp(_largest(t))[1] for t in known]
    room = min((math.frexp(torch.finfo(t.dtype).max)[1] for t in known), default=0)
    terms = max((t.numel().bit_length() for t in known), default=0)
    taken = 2 * max(exponents, default=0) + terms + _SPARE
    return math.ldexp(1.0, max(room - taken, room // 2))


def _largest(tensor: Tensor) -> float:
    # By numpy: an audit counts what torch is asked, as if the layer had asked it.
    values = numpy.abs(tensor.double().cpu().numpy())
    return float(values.max(where=numpy.isfinite(values), initial=0.0))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Steps:
    """The gradients that a backward which steps leaves, and the parameters as they were before."""

    def __init__(self, held: Mapping[str, Held], rate: float) -> None:
        self._held, self._rate = held, rate
        self._before = {name: place.value.clone() for name, place in held.items()}

    def taken_back(self) -> dict[str, Tensor]:
        """What the parameters were moved by, unless their gradients are kept; they are put back."""
        found: dict[str, Tensor] = {}
        for name, before in self._before.items():
            if self._held[name].gradient is None:
                found[name] = (before - self._held[name].value) / self._rate
            self._held[name].rebind(before)
        return found
