"""A Wrong twin: a layer of torch's with one small edit, and the ways to make one."""

from dataclasses import dataclass
from typing import Any

PARITY = ("forward_matches_reference", "gradients_match_reference")


@dataclass(frozen=True)
class Wrong:
    """A row's name, what is wrong, the constructor that stands in for the row's twin, and the
    properties of which one must find it, of those that apply.
    """

    row: str
    what: str
    twin: Any
    caught_by: tuple[str, ...] = PARITY

    def __str__(self):
        return f"{self.row}: {self.what}"


def taking(base, **wrong):
    """The right layer, built from other arguments: each is made from those that were asked for."""
    return lambda *first, **a: base(*first, **a | {name: f(a) for name, f in wrong.items()})


def computing(base, forward):
    """A layer whose forward is `forward(self, *inputs)`."""
    return type(base.__name__, (base,), {"forward": forward})


def giving(base, change):
    """A layer whose output is changed: `change(self, output)`."""
    return computing(base, lambda self, *inputs: change(self, base.forward(self, *inputs)))
