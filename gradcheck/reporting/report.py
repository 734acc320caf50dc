"""What a check found: which tensor, which entry, expected, got and the bound between them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gradcheck.differences.classes import Basis
from gradcheck.reporting.patterns import Entries, describe
from gradcheck.reporting.picture import heat_maps
from gradcheck.rounding import NOISE_SAFETY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Method = Literal["full", "projection"]
Mode = Literal["backward", "forward mode", "vmap"]
"""How a derivative is taken: by backward, by forward mode, or for many cotangents at once."""
Where = Literal["given", "beside", "integers"]
"""At which point: the given one, one beside it, or one of odd quarters, without rounding."""


@dataclass(frozen=True)
class Mismatch:
    """One wrong entry of a gradient: |got - expected| > bound.

    ``entry`` is None where only a random direction through the whole tensor shows the error.
    """

    tensor: str
    entry: tuple[int, ...] | None
    expected: float
    got: float
    bound: float


@dataclass(frozen=True)
class TensorReport:
    """The judgement of one tensor's gradient.

    ``comparisons`` were made along entries ("full") or random directions ("projection"); of these,
    ``undecided`` had no bound. ``mismatches`` are sorted by the size of the difference, the largest
    first. ``entries`` holds the whole gradient where one is wrong and every entry was compared.
    ``may_miss`` is the probability that a wrong gradient hides from the directions and
    cotangents, for errors that are larger than ``resolution`` in units of one comparison.
    ``where`` says at which point, that of "integers" for a map that is affine in every tensor.
    ``mode`` is another than "backward" only where backward is right and that mode is wrong.
    """

    tensor: str
    size: int
    method: Method
    comparisons: int
    undecided: int
    mismatches: tuple[Mismatch, ...]
    entries: Entries | None = field(compare=False, repr=False)
    may_miss: float
    resolution: float
    where: Where
    mode: Mode = "backward"


@dataclass(frozen=True)
class GradientReport:
    """The verdict on a subject's gradients; ``str()`` says it in one sentence.

    ``complaints`` are faults that are no wrong number (a gradient of another shape, a forward that
    does not repeat, a tensor written to): the numbers were not judged then. ``modes`` were judged
    beside backward; ``modes_refused`` are offered, but were not: with what they raised, or why.
    """

    subject: str
    tensors: tuple[TensorReport, ...]
    complaints: tuple[str, ...]
    basis: Basis
    not_judged: tuple[str, ...]
    modes: tuple[Mode, ...] = ()
    modes_refused: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """No mismatch and no complaint; undecided entries are counted, not condemned."""
        return not self.mismatches and not self.complaints

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """All wrong entries, tensor by tensor."""
        return tuple(m for tensor in self.tensors for m in tensor.mismatches)

    @property
    def undecided(self) -> int:
        """Comparisons without a verdict: ties, and kinks closer than the smallest step."""
        return sum(tensor.undecided for tensor in self.tensors)

    @property
    def comparisons(self) -> int:
        """All comparisons made, the undecided ones included."""
        return sum(tensor.comparisons for tensor in self.tensors)

    def picture(self, tensor: str | None = None) -> "Figure":
        """Expected, got and difference as heat maps, of the first wrong tensor or the named one.

        Returns a matplotlib Figure: ``report.picture().savefig("gradient.png")``. Raises ValueError
        where no whole gradient is known (nothing is wrong, or only directions were compared), and
        ImportError where matplotlib is not installed.
        """
        known = {t.tensor: t for t in self.tensors if t.entries is not None}
        name = next(iter(known), None) if tensor is None else tensor
        shown = known.get(name) if name else None
        if shown is None or shown.entries is None:
            raise ValueError(
                f"tensor is {tensor}: whole gradients are known of {list(known)}; they are kept"
                ' where one is wrong and every entry was compared, as method="full" does'
            )
        return heat_maps(_describe(self.subject, shown), shown.entries)

    def raise_for_failure(self) -> None:
        """Raise GradientError with the report's sentence if the check failed."""
        if not self.ok:
            raise GradientError(self)

    def to_dict(self) -> dict[str, object]:
        """The report as plain data, ready for JSON."""
        return {
            "subject": self.subject,
            "ok": self.ok,
            "sentence": str(self),
            "basis": self.basis,
            "complaints": list(self.complaints),
            "not_judged": list(self.not_judged),
            "modes": list(self.modes),
            "modes_refused": list(self.modes_refused),
            "tensors": [
                {
                    "tensor": tensor.tensor,
                    "size": tensor.size,
                    "method": tensor.method,
                    "comparisons": tensor.comparisons,
                    "undecided": tensor.undecided,
                    "may_miss": tensor.may_miss,
                    "resolution": tensor.resolution,
                    "where": tensor.where,
                    "mode": tensor.mode,
                    "pattern": None if tensor.entries is None else describe(tensor.entries),
                    "entries": None if tensor.entries is None else _arrays(tensor.entries),
                    "mismatches": [
                        {
                            "entry": None if m.entry is None else list(m.entry),
                            "expected": m.expected,
                            "got": m.got,
                            "bound": m.bound,
                        }
                        for m in tensor.mismatches
                    ],
                }
                for tensor in self.tensors
            ],
        }

    def __str__(self) -> str:
        if self.complaints:
            return f"{self.subject}: {'; '.join(self.complaints)}"
        wrong = [tensor for tensor in self.tensors if tensor.mismatches]
        if wrong:
            return "; ".join(_describe(self.subject, tensor) for tensor in wrong) + self._safety()
        names = ", ".join(tensor.tensor for tensor in self.tensors) or "none"
        sentence = (
            f"gradients of {self.subject} right within {self.basis} bounds ({names}):"
            f" {self.comparisons - self.undecided} comparisons"
        )
        if self.undecided:
            sentence += f", {self.undecided} undecided"
        return sentence + self._hidden() + self._safety()

    def _hidden(self) -> str:
        """What a wrong gradient could hide behind; of what is undecided nothing can be said."""
        missed = max((tensor.may_miss for tensor in self.tensors), default=0.0)
        if not missed or self.undecided == self.comparisons:
            return ""
        size = max(tensor.resolution for tensor in self.tensors)
        which = "any error" if not size else f"an error above {size:.1g}"
        return f"; {which} is missed with probability {missed:.0e} at most"

    def _safety(self) -> str:
        """What an estimated bound rests on."""
        if self.basis != "estimated":
            return ""
        return f"; noise estimated, taken {NOISE_SAFETY:g} times"


class GradientError(AssertionError):
    """A gradient is wrong; ``report`` has the details."""

    def __init__(self, report: GradientReport) -> None:
        self.report = report  # also the only one of ``args``, and so the text


def _arrays(entries: Entries) -> dict[str, object]:
    return {
        "expected": entries.expected.tolist(),
        "got": entries.got.tolist(),
        "bound": entries.bound.tolist(),
    }


_MODE = {"backward": "", "forward mode": " by forward mode", "vmap": " under vmap"}
_WHERE = {"given": "", "beside": ", at a point close by", "integers": ", at random odd quarters"}


def _describe(subject: str, tensor: TensorReport) -> str:
    worst = tensor.mismatches[0]
    place = "along a random direction" if worst.entry is None else f"at {list(worst.entry)}"
    sentence = (
        f"{tensor.tensor} gradient of {subject}{_MODE[tensor.mode]} wrong {place}:"
        f" analytic {worst.got:.4g}, numerical {worst.expected:.4g} ± {worst.bound:.1g}"
    )
    if worst.expected:
        sentence += f", ratio {worst.got / worst.expected:.4f}"
    sentence += _WHERE[tensor.where]
    if tensor.method == "full":
        sentence += f"; {len(tensor.mismatches)} of {tensor.size} entries differ"
    pattern = "" if tensor.entries is None else describe(tensor.entries)
    sentence += f", {pattern}" if pattern else ""
    return sentence
