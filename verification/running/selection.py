"""What a run is about: the layers, properties, devices and dtypes that were asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from verification import catalogue
from verification.properties import PROPERTIES
from verification.properties.registry import Property, in_order
from verification.subjects.entry import Entry

DEVICES = ("cpu", "cuda")
DTYPES = ("float32", "float64")


Names = tuple[str, str, str, str, str, str]
"""Layer, property, family, what it decides, device, dtype: the head of a summary's cell."""


class Target(NamedTuple):
    """One campaign: an entry, a property, a device and a dtype."""

    entry: Entry
    prop: Property
    device: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.entry.row.name}-{self.prop.name}-{self.device}-{self.dtype}"

    def names(self) -> Names:
        """What it is about. A layer of the catalogue is called as its kind."""
        prop, entry = self.prop, self.entry
        return (
            entry.name if entry.foreign else entry.row.name,
            prop.name,
            prop.family.value,
            prop.decides.value,
            self.device,
            self.dtype,
        )


class Inapplicable(NamedTuple):
    """A property that an entry cannot be asked to keep, and what it lacks for it."""

    entry: Entry
    prop: Property
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Shard:
    """One of several parts of the suite, for a machine each; `number` counts from 1."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Shard:
        """From "3/8"; ValueError for anything else."""
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"shard is {text!r}: write NUMBER/COUNT, such as 3/8, from 1/8 to 8/8")
        return cls(int(found[1]), int(found[2]))

    def has(self, entry: Entry, prop: Property) -> bool:
        """Whether a layer and property belong to this part: the same ones on every machine, and in
        every version that has them.
        """
        name = hashlib.sha256(f"{entry.name} {prop.name}".encode()).digest()
        return int.from_bytes(name) % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Selection:
    """Names that were asked for, empty for all; and the shard, None for the whole.

    Raises:
        ValueError: a name is unknown; the message lists those that are known.
    """

    layers: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    shard: Shard | None = None

    def __post_init__(self) -> None:
        layers = [entry.row.name for entry in catalogue.SHIPPED.values()]
        require_known("layer", self.layers, layers)
        require_known("property", self.properties, PROPERTIES)
        require_known("device", self.devices, DEVICES)
        require_known("dtype", self.dtypes, DTYPES)

    def targets(self) -> list[Target]:
        """Every campaign of the selection, layer by layer."""
        return [
            Target(entry, prop, device, dtype)
            for entry, prop in self._pairs()
            if not prop.missing(entry)
            for device in self.devices or DEVICES
            for dtype in self.dtypes or DTYPES
        ]

    def inapplicable(self) -> list[Inapplicable]:
        """What the selection names and no campaign runs, with the reason."""
        return [
            Inapplicable(entry, prop, prop.missing(entry))
            for entry, prop in self._pairs()
            if prop.missing(entry)
        ]

    def _pairs(self) -> list[tuple[Entry, Property]]:
        return [
            (entry, prop)
            for entry in catalogue.SHIPPED.values()
            if not self.layers or entry.row.name in self.layers
            for prop in in_order(PROPERTIES.values())
            if not self.properties or prop.name in self.properties
            if self.shard is None or self.shard.has(entry, prop)
        ]


def absent(device: str) -> str | None:
    """Why nothing can run on a device, or None where it is there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        return "no CUDA device"
    return None


def require_known(what: str, asked: Iterable[str], known: Iterable[str]) -> None:
    """Raise ValueError, with all that is known, for the first name that is not."""
    known = list(known)
    for name in asked:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}: choose from {', '.join(known)}")
