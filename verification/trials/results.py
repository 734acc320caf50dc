"""What a call yields, by name, and how results of several calls are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn, TypeVar

from torch import Tensor

from verification.references.laws.enclosure import Enclosure
from verification.trials.discrepancy import MOST_COMPARED, Compared

T = TypeVar("T")


class Results(dict[str, Tensor]):
    """Tensors by name; to ask for one that is not there is a discrepancy, raised by `fail`."""

    def __init__(
        self, named: Mapping[str, Tensor], fail: Callable[[str, str, str], NoReturn]
    ) -> None:
        super().__init__(named)
        self._fail = fail

    def copies(self) -> Results:
        """The same in memory of their own, which no later call can reach."""
        return Results({name: tensor.clone() for name, tensor in self.items()}, self._fail)

    def __missing__(self, name: str) -> NoReturn:
        self._fail("missing", name, f"{name} is missing, among {', '.join(self) or 'nothing'}")


class Part(NamedTuple):
    """One term of a sum of results: a result, its factor, and the truth that bounds its error."""

    factor: float
    got: Tensor
    truth: Enclosure


def gradients_of(named: Mapping[str, T]) -> dict[str, T]:
    """The same under the names that results have: "NAME gradient"."""
    return {f"{name} gradient": value for name, value in named.items()}


def compared(got: Tensor, expected: Tensor, bound: Tensor, excess: Tensor) -> Compared:
    """The entries, the one of the largest excess first."""
    places = excess.flatten().argsort(descending=True, stable=True)[:MOST_COMPARED]
    entries = (t.expand_as(got).flatten()[places].tolist() for t in (got, expected, bound))
    return Compared(tuple(got.shape), tuple(places.tolist()), *map(tuple, entries))
