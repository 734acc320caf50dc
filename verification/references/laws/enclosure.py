"""A true value together with how far rounding may carry a right computation away from it.

The truth is computed in float64 on the very numbers that the layer was given. Beside it travel the
error bound of a right computation in the layer's own precision and the sum of absolute values that
the bound rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradcheck import rounding


@dataclass(frozen=True, slots=True)
class Precision:
    """The rounding of one dtype, with the float64 truth's own rounding added.

    For float64 results a float64 truth is no truth: both computations err, so both errors count.
    """

    dtype: torch.dtype

    def gamma(self, roundings: Tensor | float) -> Tensor:
        """Relative error after so many roundings: γ_n of the layer's dtype plus γ_n of float64."""
        count = torch.as_tensor(roundings, dtype=torch.float64)
        own = rounding.gamma(count, rounding.unit_roundoff(self.dtype))
        return own + rounding.gamma(count, rounding.unit_roundoff(torch.float64))

    def underflow(self, terms: Tensor | float) -> Tensor:
        """Absolute error that gradual underflow may add to a sum of that many terms."""
        count = torch.as_tensor(terms, dtype=torch.float64)
        return rounding.underflow(count, self.dtype) + rounding.underflow(count, torch.float64)

    def certifies(self, magnitude: Tensor) -> bool:
        """Whether sums of integers with these sums of absolute values are exact in every order."""
        return bool(rounding.is_exact(magnitude, self.dtype).all())


@dataclass(frozen=True, slots=True)
class Enclosure:
    """value: the truth, float64. error: a right result lies within value ± error. magnitude:
    Σ|terms| behind it.

    `exact`: the value is an integer that a right computation reaches exactly, whatever its order of
    summation; the error is then zero. All three tensors have the shape of the result.
    """

    value: Tensor
    error: Tensor
    magnitude: Tensor
    exact: bool

    @property
    def least(self) -> Tensor | float:
        """What of the error is known at no cost, where the rest is found out only when asked for:
        nothing, unless a subclass says so.
        """
        return 0.0

    @classmethod
    def of(cls, tensor: Tensor, exact: bool) -> Enclosure:
        """A given tensor: no error, and exact if its elements are integers that the dtype holds."""
        # Contiguous: torch's float64 convolution puts weight gradients in wrong places for some
        # layouts (a permuted input with a channels_last weight), and refuses others.
        value = tensor.detach().to("cpu", torch.float64).contiguous()
        return cls(value, torch.zeros_like(value), value.abs(), exact)

    def times(self, factor: int) -> Enclosure:
        """The enclosure of a power of two times the result: such a product rounds nothing."""
        size = abs(factor)
        return Enclosure(factor * self.value, size * self.error, size * self.magnitude, self.exact)

    def at(self, index: Tensor) -> Enclosure:
        """The enclosure of some samples, by their places along axis 0."""
        return Enclosure(self.value[index], self.error[index], self.magnitude[index], self.exact)


class Deferred(Enclosure):
    """An enclosure whose error is found out when it is asked for: most results agree without it.

    estimate: the error, which is nowhere below `least`.
    """

    def __init__(
        self,
        value: Tensor,
        estimate: Callable[[], Tensor],
        least: Tensor | float,
        exact: bool = False,
    ) -> None:
        told = {"value": value, "magnitude": value.abs(), "exact": exact}
        for name, part in {**told, "_estimate": estimate, "_least": least}.items():
            object.__setattr__(self, name, part)

    @property
    def error(self) -> Tensor:
        """The bound; infinite where nothing is known."""
        estimate: Callable[[], Tensor] = self.__dict__["_estimate"]
        return estimate()

    @property
    def least(self) -> Tensor | float:
        """What the bound is at least."""
        least: Tensor | float = self.__dict__["_least"]
        return least

    def times(self, factor: int) -> Deferred:
        """As of any enclosure."""
        size = abs(factor)
        return Deferred(factor * self.value, lambda: size * self.error, size * self.least)


def integers(tensor: Tensor) -> bool:
    """Whether every element is a finite integer."""
    if not tensor.is_floating_point():
        return True
    return bool((torch.isfinite(tensor) & (tensor == tensor.round())).all())


def total(parts: Sequence[Enclosure], precision: Precision) -> Enclosure:
    """The sum of at least one enclosed tensor, each added to a buffer in the layer's precision."""
    value = torch.stack([part.value for part in parts]).sum(0)
    error = torch.stack([part.error for part in parts]).sum(0)
    magnitude = torch.stack([part.magnitude for part in parts]).sum(0)
    exact = all(part.exact for part in parts) and precision.certifies(magnitude)
    if not exact:
        reach = torch.stack([part.value.abs() + part.error for part in parts]).sum(0)
        error = error + precision.gamma(len(parts)) * reach
    return Enclosure(value, error, magnitude, exact)
