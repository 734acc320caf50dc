"""Running error analysis: numbers that know how far a right computation may be from them.

A row writes its layer once, as a function of these numbers. What comes out is the truth in float64
with a derived bound for any right computation in the layer's precision; a sweep backwards over the
same operations gives every gradient with its bound.

Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.3 (running
error analysis, after Wilkinson). One thing differs. There each operation's rounding counts against
its own result, and the bound holds for one order of operations. Here sums, products and copies
carry Σ|terms|, and their roundings count against that, as in (3.11) there: the bound holds for
products that are distributed or factored, and for sums in any order and in any parts. So it covers
a variance in one pass or two, and a gradient whose sums are split. Where another algorithm rounds a
term more often than the one written, the row says so with `rounded`. What is not linear (a
quotient's denominator, exp, sqrt) starts the terms afresh.

Operands count as independent: the errors of x in x * x add up, though they are the same.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from verification.references.laws.enclosure import Enclosure, Precision, integers

Move = Callable[[Tensor], Tensor]
"""A rearrangement: each entry of the result is one entry of the argument, or zero."""


@dataclass(frozen=True)
class Pull:
    """The way back from a result to one of its operands: from the cotangent of the result to the
    operand's share of it.
    """

    operand: Number
    vjp: Callable[[Number], Number]


@dataclass(frozen=True, eq=False)
class Number:
    """A tensor of enclosed numbers, and how it was made of others.

    enclosure: value, error, Σ|terms| and whether integers stay exact. precision: that of the
    computation that is bounded. tracked: whether its gradient is wanted; what is made of tracked
    numbers is tracked, and has a pull for each of them. order: when it was made.
    """

    enclosure: Enclosure
    precision: Precision
    tracked: bool = False
    pulls: tuple[Pull, ...] = ()
    order: int = field(default_factory=itertools.count().__next__)

    def made(self, enclosure: Enclosure, *pulls: Pull) -> Number:
        """The result of an operation on this number and others."""
        wanted = tuple(pull for pull in pulls if pull.operand.tracked)
        return Number(enclosure, self.precision, bool(wanted), wanted)

    @property
    def value(self) -> Tensor:
        """The truth, float64."""
        return self.enclosure.value

    @property
    def error(self) -> Tensor:
        """How far a right computation may be off."""
        return self.enclosure.error

    @property
    def magnitude(self) -> Tensor:
        """Σ|terms|, at least |value|."""
        return self.enclosure.magnitude

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor."""
        return self.value.shape

    def constant(self) -> Number:
        """The same number, through which no gradient flows."""
        return self.made(self.enclosure)

    def like(self, number: Number | Tensor | float) -> Number:
        """A constant beside this number; a layer may round it to its own dtype first."""
        if isinstance(number, Number):
            return number
        value = torch.as_tensor(number, dtype=torch.float64)
        error = (value - value.to(self.precision.dtype)).abs()
        return Number(Enclosure(value, error, value.abs(), integers(value)), self.precision)

    # Arithmetic

    def __add__(self, other: Number | Tensor | float) -> Number:
        a, b = self, self.like(other)
        enclosure = settled(
            self.precision,
            a.value + b.value,
            inherited=a.error + b.error,
            magnitude=a.magnitude + b.magnitude,
            roundings=1,
            exact=a.enclosure.exact and b.enclosure.exact,
        )
        back = (Pull(n, functools.partial(summed_to, shape=n.shape)) for n in (a, b))
        return self.made(enclosure, *back)

    def __neg__(self) -> Number:
        e = self.enclosure
        enclosure = Enclosure(-e.value, e.error, e.magnitude, e.exact)
        return self.made(enclosure, Pull(self, Number.__neg__))

    def __sub__(self, other: Number | Tensor | float) -> Number:
        return self + -self.like(other)

    def __rsub__(self, other: Tensor | float) -> Number:
        return -self + other

    def __mul__(self, other: Number | Tensor | float) -> Number:
        a, b = self, self.like(other)
        enclosure = settled(
            self.precision,
            a.value * b.value,
            inherited=a.magnitude * b.error + b.magnitude * a.error + a.error * b.error,
            magnitude=a.magnitude * b.magnitude,
            roundings=1,
            floor=self._tiny(),
            exact=a.enclosure.exact and b.enclosure.exact,
        )
        back = (
            Pull(a, lambda g: summed_to(g * b, a.shape)),
            Pull(b, lambda g: summed_to(g * a, b.shape)),
        )
        return self.made(enclosure, *back)

    def __truediv__(self, other: Number | Tensor | float) -> Number:
        a, b = self, self.like(other)
        size = b.value.abs()
        # |a'/b' - a/b| <= (e_a + |a/b| e_b) / (|b| - e_b), and no bound where b' may be 0.
        room = (size - b.error).clamp(min=0)
        magnitude = a.magnitude / size
        enclosure = settled(
            self.precision,
            a.value / b.value,
            inherited=(a.error + magnitude * b.error) / room,
            magnitude=magnitude,
            roundings=2,  # as a product with the reciprocal
            floor=self._tiny(),
        )
        result = self.made(enclosure)
        back = (
            Pull(a, lambda g: summed_to(g / b, a.shape)),
            Pull(b, lambda g: summed_to(-(g * result / b), b.shape)),
        )
        return self.made(enclosure, *back)

    def _tiny(self) -> float:
        """What underflow may add to a product: the smallest normal number, 2^(t - 1) times the
        smallest subnormal. Associated otherwise, a partial product may underflow before other
        factors scale it up again.
        """
        return torch.finfo(self.precision.dtype).smallest_normal

    def __rtruediv__(self, other: Tensor | float) -> Number:
        return self.like(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __matmul__(self, other: Number) -> Number:
        """The matrix product over the last two axes, at least two of each; the axes before them are
        broadcast.
        """
        a, b = self, other
        terms = a.shape[-1]
        enclosure = settled(
            self.precision,
            a.value @ b.value,
            inherited=a.magnitude @ b.error + a.error @ (b.magnitude + b.error),
            magnitude=a.magnitude @ b.magnitude,
            roundings=terms,
            floor=self.precision.underflow(terms),
            exact=a.enclosure.exact and b.enclosure.exact,
        )
        back = (
            Pull(a, lambda g: summed_to(g @ b.moved(_transposed), a.shape)),
            Pull(b, lambda g: summed_to(a.moved(_transposed) @ g, b.shape)),
        )
        return self.made(enclosure, *back)

    # Sums and rearrangements

    def sum(self, dims: int | list[int] | None = None, keepdim: bool = False) -> Number:
        """The sum over some axes, in any order; over all of them if none are named."""
        axes = list(range(self.value.dim())) if dims is None else dims
        e = self.enclosure

        def reduced(tensor: Tensor) -> Tensor:
            return tensor.sum(axes, keepdim) if axes != [] else tensor

        total = reduced(e.value)
        terms = e.value.numel() // max(1, total.numel())
        enclosure = settled(
            self.precision,
            total,
            inherited=reduced(e.error),
            magnitude=reduced(e.magnitude),
            roundings=max(0, terms - 1),
            exact=e.exact,
        )
        kept = e.value.sum(axes, keepdim=True).shape if axes != [] else self.shape

        def spread(g: Number) -> Number:
            return g.moved(lambda t: t.reshape(kept).expand(self.shape))

        return self.made(enclosure, Pull(self, spread))

    def mean(self, dims: int | list[int] | None = None, keepdim: bool = False) -> Number:
        """The mean over some axes: their sum, divided by the number of terms."""
        total = self.sum(dims, keepdim)
        return total / (self.value.numel() // max(1, total.value.numel()))

    def rounded(self, times: int) -> Number:
        """The same number, rounded so many times more, and its cotangent too: other algorithms may
        add a term to others earlier, and then round it with each of them.
        """
        e = self.enclosure
        enclosure = settled(
            self.precision,
            e.value,
            inherited=e.error,
            magnitude=e.magnitude,
            roundings=times,
        )
        return self.made(enclosure, Pull(self, lambda g: g.rounded(times)))

    def moved(self, move: Move) -> Number:
        """The number rearranged: reshaped, permuted, expanded, indexed, gathered, padded with
        zeros. An entry that is copied to several places gets the sum of their cotangents.
        """
        e = self.enclosure
        enclosure = Enclosure(move(e.value), move(e.error), move(e.magnitude), e.exact)

        def back(g: Number) -> Number:
            copies = _adjoint(move, self.shape, torch.ones_like(g.value))
            taken = settled(
                g.precision,
                _adjoint(move, self.shape, g.value),
                inherited=_adjoint(move, self.shape, g.error),
                magnitude=_adjoint(move, self.shape, g.magnitude),
                roundings=(copies - 1).clamp(min=0),
                exact=g.enclosure.exact,
            )
            return g.made(taken)

        return self.made(enclosure, Pull(self, back))


def stored(number: Number) -> Number:
    """The number as a layer keeps it between two steps: its terms are summed, and whatever rounds
    later counts against what is there. The same holds for its cotangent on the way back.
    """
    e = number.enclosure
    kept = Enclosure(e.value, e.error, e.value.abs(), e.exact)
    return number.made(kept, Pull(number, stored))


def concatenated(numbers: Sequence[Number], dim: int) -> Number:
    """Numbers one after another along an axis, as torch.cat has them."""
    parts = [number.enclosure for number in numbers]
    enclosure = Enclosure(
        torch.cat([e.value for e in parts], dim),
        torch.cat([e.error for e in parts], dim),
        torch.cat([e.magnitude for e in parts], dim),
        all(e.exact for e in parts),
    )
    ends = list(itertools.accumulate(e.value.shape[dim] for e in parts))
    pulls = (
        Pull(n, functools.partial(_cut, dim=dim, start=end - n.shape[dim], length=n.shape[dim]))
        for n, end in zip(numbers, ends, strict=True)
    )
    return numbers[0].made(enclosure, *pulls)


def settled(
    precision: Precision,
    value: Tensor,
    *,
    inherited: Tensor,
    magnitude: Tensor,
    roundings: int | Tensor,
    floor: Tensor | float = 0.0,
    exact: bool = False,
) -> Enclosure:
    """The enclosure of an operation's result.

    inherited: what its operands' errors do to it. magnitude: what its roundings count against.
    floor: an absolute error that they may add (underflow). exact: it is made of integers by sums
    and products, so that nothing rounds as long as their absolute values fit.
    """
    if exact and precision.certifies(magnitude):
        return Enclosure(value, torch.zeros_like(value), magnitude, True)
    error = inherited + gamma(precision, roundings) * (magnitude + inherited) + floor
    # A right computation may overflow where float64 does not; then nothing is known of it, and
    # neither is it where an infinite error meets a zero.
    largest = torch.finfo(precision.dtype).max
    error = error.where(value.abs() + error <= largest, torch.inf)
    # An infinity or a NaN of the truth comes out of every right computation.
    return Enclosure(value, error.where(value.isfinite(), 0.0), magnitude, False)


def gamma(precision: Precision, roundings: int | Tensor) -> Tensor | float:
    """Relative error after so many roundings."""
    if isinstance(roundings, Tensor):
        return precision.gamma(roundings)
    return _gamma(precision, roundings)


@functools.lru_cache(maxsize=4096)
def _gamma(precision: Precision, roundings: int) -> float:
    return precision.gamma(roundings).item()


def pulled_back(
    outputs: Mapping[str, Number], cotangents: Mapping[str, Number]
) -> dict[Number, Number]:
    """The cotangent of every number that some outputs were made of, given those of the outputs; one
    that has none does not count.

    Numbers are passed in the reverse of the order in which they were made, so that each has
    gathered all its shares before it passes them on.
    """
    arriving: dict[Number, Number] = {}
    counted = [output for name, output in outputs.items() if name in cotangents]
    for name, cotangent in cotangents.items():
        _gather(arriving, outputs[name], cotangent)
    for number in sorted(_ancestors(counted), key=lambda n: n.order, reverse=True):
        for pull in number.pulls:
            _gather(arriving, pull.operand, pull.vjp(arriving[number]))
    return arriving


def _gather(arriving: dict[Number, Number], number: Number, share: Number) -> None:
    arriving[number] = arriving[number] + share if number in arriving else share


def _ancestors(numbers: Iterable[Number]) -> set[Number]:
    """The numbers and all that they were made of."""
    found: set[Number] = set()
    waiting = list(numbers)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting.extend(pull.operand for pull in number.pulls)
    return found


def summed_to(g: Number, shape: torch.Size) -> Number:
    """A cotangent summed over the axes along which an operand of that shape was broadcast."""
    ahead = len(g.shape) - len(shape)
    axes = [
        axis
        for axis, size in enumerate(g.shape)
        if axis < ahead or (shape[axis - ahead] == 1 and size != 1)
    ]
    return g.sum(axes, keepdim=True).moved(lambda t: t.reshape(shape)) if axes else g


def _adjoint(move: Move, shape: torch.Size, cotangent: Tensor) -> Tensor:
    """The transpose of a rearrangement of a tensor of that shape."""
    x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        moved = move(x)
    (gradient,) = torch.autograd.grad(moved, x, cotangent)
    return gradient


def _transposed(tensor: Tensor) -> Tensor:
    return tensor.transpose(-2, -1)


def _cut(g: Number, dim: int, start: int, length: int) -> Number:
    return g.moved(lambda t: t.narrow(dim, start, length))
