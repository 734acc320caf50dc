"""What a described function is seen to do when it is first called, and so how it must be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradcheck import rounding
from verification.cases import LayerCall
from verification.references.laws.roundings import Dtypes
from verification.subjects.described.function import DescribedSubject, Given, Manner
from verification.subjects.loading import SubjectError


@dataclass(frozen=True)
class Seen:
    """What a function did when it was called.

    outputs: those that have a derivative; others: those that have none. manner: how it must be
    called. widest: the widest dtype that it takes. whole: the inputs that are no floating numbers,
    with their dtypes. notes: what of it is worth saying.
    """

    outputs: tuple[str, ...]
    others: tuple[str, ...]
    manner: Manner
    widest: torch.dtype
    whole: Mapping[str, torch.dtype]
    notes: tuple[str, ...]


MakeSubject = Callable[[LayerCall, Manner, torch.dtype], DescribedSubject]
Try = tuple[LayerCall, Callable[[torch.dtype], Given]]
"""Settings, and inputs in a dtype that is asked for."""


def watch(make: MakeSubject, tries: list[Try], name: str) -> Seen:
    """Call a function on the first of some inputs that it takes, and see what it does.

    Raises:
        SubjectError: it takes none of them, or none of its outputs has a derivative.
    """
    failure: Exception | None = None
    for call, given in tries:
        try:
            return _seen(make, call, given)
        except SubjectError as error:
            failure = failure or error
    raise SubjectError(f"{name}: {failure}")


def _seen(make: MakeSubject, call: LayerCall, given: Callable[[torch.dtype], Given]) -> Seen:
    narrow = torch.float32
    manner = _manner(make, call, narrow, given(narrow))
    manner, widest, notes = _widest(make, call, manner, given)
    subject, before = make(call, manner, widest), torch.get_rng_state()
    returned = subject.forward(given(widest), {})
    if not torch.equal(torch.get_rng_state(), before):
        torch.set_rng_state(before)
        manner = replace(manner, random=True)
        notes = (*notes, "it draws random numbers: torch's generator is set before every call")
    if widest == torch.float64 and _hides(make(call, manner, widest), given(widest)):
        manner = replace(manner, hidden=True)
        notes = (*notes, "it computes with fewer bits than float64 inside: their noise counts")
    outputs = {n: t for n, t in subject.outputs.items() if t.is_floating_point()}
    smooth = tuple(n for n, t in outputs.items() if t.requires_grad)
    if not smooth:
        raise SubjectError(
            "no output has a derivative: autograd sees no path from the inputs to a floating output"
        )
    others = tuple(n for n in returned if n not in smooth)
    if others:
        notes = (*notes, f"{', '.join(others)} has no derivative, by its own word")
    if manner.in_place:
        notes = (*notes, "it writes to its inputs, as it says: they are handed over as copies")
    whole = {n: t.dtype for n, t in given(narrow).items() if not t.is_floating_point()}
    return Seen(smooth, others, manner, widest, whole, notes)


def _hides(subject: DescribedSubject, given: Given) -> bool:
    """Whether some floating number inside has fewer bits than float64."""
    with Dtypes() as seen:
        results = subject.forward(given, {})
        smooth = {n: t for n, t in subject.outputs.items() if t.requires_grad}
        subject.vjp({n: torch.ones_like(results[n]) for n in smooth})
    return bool(seen.floating - {torch.float64})


def _rounds_its_inputs(subject: DescribedSubject, given: Given) -> bool:
    """Whether forward rounds all its inputs, be it where no operation of torch shows it: to move
    them by less than float32 can tell changes nothing, and to move them by more does. What draws
    random numbers may give the same twice by chance, and is not asked.
    """
    before = torch.get_rng_state()
    narrow, wide = map(rounding.unit_roundoff, (torch.float32, torch.float64))

    def moved(share: float) -> list[Tensor]:
        inputs = {n: t * (1 + share) if t.is_floating_point() else t for n, t in given.items()}
        outputs = subject.forward(inputs, {})
        return [t.clone() for t in outputs.values() if t.is_floating_point()]

    def same(share: float) -> bool:
        return all(map(torch.equal, moved(share), moved(0.0)))

    try:
        rounds = same((narrow * wide) ** 0.5) and not same(narrow**0.5)
    except Exception:  # beside these numbers it has no value
        return False
    return rounds and torch.equal(torch.get_rng_state(), before)


def _manner(make: MakeSubject, call: LayerCall, dtype: torch.dtype, given: Given) -> Manner:
    manner = Manner()
    try:
        make(call, manner, dtype).forward(given, {})
    except RuntimeError as error:
        if "in-place operation" not in str(error):
            raise _refused(error, call, given) from error
        manner = Manner(in_place=True)
        try:
            make(call, manner, dtype).forward(given, {})
        except Exception as other:
            raise _refused(other, call, given) from other
    except Exception as error:
        raise _refused(error, call, given) from error
    return manner


def _widest(
    make: MakeSubject, call: LayerCall, manner: Manner, given: Callable[[torch.dtype], Given]
) -> tuple[Manner, torch.dtype, tuple[str, ...]]:
    """How it takes float64, by itself or under that default dtype; float32 where it does not."""

    def runs(tried: Manner, dtype: torch.dtype) -> bool:
        try:
            subject = make(call, tried, dtype)
            subject.forward(given(dtype), {})
            smooth = {n: t for n, t in subject.outputs.items() if t.requires_grad}
            subject.vjp({n: torch.ones_like(t) for n, t in smooth.items()})
        except Exception:
            return False
        return True

    by_default = replace(manner, default_dtype=True)
    if runs(manner, torch.float64):
        if _rounds_its_inputs(make(call, manner, torch.float64), given(torch.float64)):
            note = "it computes with fewer bits than float64 inside: judged in float32"
            return manner, torch.float32, (note,)
        return manner, torch.float64, ()
    if runs(by_default, torch.float64):
        return by_default, torch.float64, ("float64 runs under that default dtype",)
    if runs(manner, torch.float32):
        return manner, torch.float32, ("it does not take float64: judged in float32",)
    return manner, torch.float64, ()  # whatever is wrong, the dtype is not


def _refused(error: Exception, call: LayerCall, given: Given) -> SubjectError:
    shapes = ", ".join(f"{n} {'x'.join(map(str, t.shape)) or 'scalar'}" for n, t in given.items())
    settings = "".join(f", {name}={value!r}" for name, value in call.arguments)
    first = (str(error).splitlines() or [""])[0]
    return SubjectError(
        f"it raises {type(error).__name__} for {shapes}{settings}: {first}; describe inputs that it"
        " takes"
    )
