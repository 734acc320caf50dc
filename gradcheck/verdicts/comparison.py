"""Two numbers and a bound for every line: the numerical side against the analytic one."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from gradcheck.differences.classes import Basis


@dataclass(frozen=True)
class Comparison:
    """Numerical and analytic derivative of <c, f> along lines, each [cotangents, lines].

    ``kinked`` says where a kink was seen, so that the bound spans the slopes on both sides.
    """

    expected: Tensor
    got: Tensor
    bound: Tensor
    kinked: Tensor
    basis: Basis

    @cached_property
    def undecided(self) -> Tensor:
        """Where no bound was found."""
        return ~self.bound.isfinite()

    @cached_property
    def wrong(self) -> Tensor:
        """Where the difference exceeds its bound, or is not a number."""
        within = (self.got - self.expected).abs() <= self.bound
        return ~within & ~self.undecided

    @cached_property
    def any_wrong(self) -> bool:
        """Whether something is."""
        return bool(self.wrong.any())

    @cached_property
    def known(self) -> Tensor:
        """All bounds that were found."""
        return self.bound[~self.undecided]

    @cached_property
    def coarsest(self) -> float:
        """The largest of these; 0 where there are none."""
        return self.known.max().item() if len(self.known) else 0.0

    def replaced(self, lines: Tensor, better: "Comparison") -> "Comparison":
        """The same with those lines for which ``lines`` [L] holds taken from ``better``."""

        def merged(ours: Tensor, theirs: Tensor) -> Tensor:
            return ours.index_copy(1, lines.nonzero()[:, 0], theirs)

        return Comparison(
            merged(self.expected, better.expected),
            merged(self.got, better.got),
            merged(self.bound, better.bound),
            merged(self.kinked, better.kinked),
            better.basis,
        )
