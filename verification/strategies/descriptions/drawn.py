"""A domain of a user's own: a function that draws its members.

Its text is the function's name with the extents, "my_module:offsets(b=2, n=5)", so that a case
refers to it. The function runs where the tensors are made for the subject, and nowhere else.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from verification.strategies.descriptions.domain import Domain, DomainError
from verification.subjects.loading import SubjectError, at_hand

OWN = re.compile(r"(?:^|\s)[^\s:]+:[^\s()]+\s*$")
"""The name of such a domain at the end of a line."""

_TEXT = re.compile(r"(?P<name>[^\s:]+:[^\s()]+)\((?P<sizes>[^()]*)\)")


@dataclass(frozen=True)
class Drawn(Domain):
    """What `(sizes, generator) -> tensor` draws.

    name: of the function. sizes: the extents by name. No number can be brought into it: a
    derivative is taken as if all real numbers beside a member were members too.
    """

    name: str
    sizes: tuple[tuple[str, int], ...] = ()

    joint = True
    closed = True

    def sample(self, drawn: Tensor) -> Tensor:
        """A member of the shape of the drawn numbers, which seed the generator."""
        seed = zlib.crc32(bytes(drawn.contiguous().flatten().view(torch.uint8).tolist()))
        where = f"domain {self.name}"
        try:
            made = _function(self.name)(dict(self.sizes), torch.Generator().manual_seed(seed))
        except SubjectError:
            raise
        except Exception as error:
            raise DomainError(
                f"{where} raises {type(error).__name__} for {dict(self.sizes)}: {error}; let it"
                " draw a tensor for any extents that the description allows"
            ) from error
        if not isinstance(made, Tensor) or made.shape != drawn.shape:
            got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise DomainError(
                f"{where} draws {got} for {dict(self.sizes)}, and the axes say"
                f" {tuple(drawn.shape)}: let it return a tensor of that shape"
            )
        return made.double() if made.is_floating_point() else made


def own_domains(text: str) -> list[str]:
    """The functions that a line of a description, or a domain's text, names: whatever has a colon,
    which no other part of them has.
    """
    return re.findall(r"[^\s()]*:[^\s()]*", text)


@cache
def _function(name: str) -> Callable[..., Any]:
    found = at_hand(name)
    if isinstance(found, tuple):
        raise SubjectError(f"domain {name} is a pair of functions: name one")
    return found


def drawn_domain(text: str) -> Drawn | None:
    """The domain that a text names; None for one of the built-in kinds."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    pairs = (part.split("=") for part in filter(None, match["sizes"].split(", ")))
    return Drawn(match["name"], tuple((name, int(size)) for name, size in pairs))
