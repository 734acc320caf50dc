"""Require that a use is refused: by the right error, in helpful words, before anything changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from verification.subjects.raw import RawLayer
from verification.trials.trial import Trial


def require_refusal(
    trial: Trial, act: Callable[[], object], error: str, what: str, says: Iterable[str] = ()
) -> None:
    """`act` raises an error of the class of that name, with those words in its message.

    `what` says what is refused, as the subject of a sentence.
    """
    try:
        act()
    except Exception as raised:
        got = f"{type(raised).__name__}: {raised}"
        kinds = [kind.__name__ for kind in type(raised).__mro__]
        missing = [word for word in says if word not in str(raised)]
        trial.require(error in kinds, "wrong error", "", f"{what} raises {got}; not {error}")
        trial.require(not missing, "unhelpful", "", f"{what} raises {got}; it lacks {missing}")
    else:
        trial.fail("not raised", "", f"{what} is accepted; expected {error}")


def other_dtype(dtype: torch.dtype) -> torch.dtype:
    """A floating dtype that is not this one."""
    return torch.float32 if dtype == torch.float64 else torch.float64


@contextmanager
def untouched(
    trial: Trial, tensors: Callable[[], Mapping[str, Tensor]], during: str
) -> Iterator[None]:
    """What `tensors` returns keeps its bits; `during` says what must not change it."""
    before = {name: _bits(tensor) for name, tensor in tensors().items()}
    yield
    for name, tensor in tensors().items():
        kept = torch.equal(_bits(tensor), before[name])
        trial.require(kept, "changed", name, f"{name} was changed by {during}")


def all_tensors(trial: Trial) -> dict[str, Tensor]:
    """What the caller holds, and what a hand-written layer holds."""
    held = RawLayer(trial.subject).tensors() if hasattr(trial.subject, "layer") else {}
    return trial.inputs | trial.parameters | trial.cotangents | held


def _bits(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone(memory_format=torch.contiguous_format)
    return copy.flatten().view(torch.uint8)
