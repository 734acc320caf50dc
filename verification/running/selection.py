"""What a run is about: the layers, properties, devices and dtypes that were asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from verification import catalogue
from verification.properties import PROPERTIES
from verification.properties.registry import Property, in_order
from verification.subjects.entry import Entry

DEVICES = ("cpu", "cuda")
DTYPES = ("float32", "float64")


class Target(NamedTuple):
    """One campaign: an entry, a property, a device and a dtype."""

    entry: Entry
    prop: Property
    device: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.entry.row.name}-{self.prop.name}-{self.device}-{self.dtype}"

    def names(self) -> tuple[str, str, str, str, str, str]:
        """Layer, property, family, what it decides, device, dtype: the head of a summary's cell."""
        prop = self.prop
        return (
            self.entry.row.name,
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
class Selection:
    """Names that were asked for; empty means all.

    Raises:
        ValueError: a name is unknown; the message lists those that are known.
    """

    layers: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()

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
