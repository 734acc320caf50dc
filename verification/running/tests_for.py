"""`verification.tests_for`: the properties of one's own layer as pytest items with their names."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from verification import catalogue
from verification.cases import SubjectSpec
from verification.properties.registry import Decides, Property
from verification.references.row import Row
from verification.running.checking import spec_told, subject_of, waivers
from verification.running.judging import Asked, Subject, lenient
from verification.running.selection import Target, absent
from verification.subjects.driving.told import Adapter
from verification.subjects.foreign import entry_elsewhere, kind_named
from verification.subjects.loading import Loaded, SubjectError
from verification.subjects.probing.probed import Probed

OFFERS = ("accumulate", "zero", "state")
"""What a layer may offer beyond its kind; whether it does shows when it is built."""

_open = ExitStack()
atexit.register(_open.close)


def tests_for(
    layer: Loaded | str,
    *,
    like: object,
    told: Mapping[str, Any] | None = None,
    properties: Sequence[str] = (),
    devices: Sequence[str] = ("cpu",),
    dtypes: Sequence[str] = ("float32", "float64"),
    contract: bool = False,
    waive: Mapping[str, str] | None = None,
    supervised: bool = True,
) -> Callable[..., None]:
    """A test with one item for each property, device and dtype: in a test module write
    `test_my_conv = verification.tests_for(MyConv, like="Conv2d")`.

    The arguments are those of `check`, and `told` are its kwargs, hold, one_number, axes, rename,
    layout, held, against and backward. How many examples are drawn, and which, is the profile's.
    Nothing of the layer runs while pytest collects.

    Raises:
        SubjectError: no row has the kind's name.
        ValueError: a property, device, dtype or clause is unknown.
    """
    asked = Asked(properties, devices, dtypes, contract=contract, waive=waivers(waive or {}))
    spec = spec_told(layer, like, Adapter.said(**(told or {})))
    kind = kind_named(like)

    @functools.cache
    def subject() -> Subject:
        return subject_of(layer, spec, supervised, _open)

    parametrized = pytest.mark.parametrize(
        ("prop", "device", "dtype"),
        [
            pytest.param(prop, device, dtype, id=f"{prop.name}-{device}-{dtype}")
            for prop in asked.chosen
            if _may_apply(prop, kind, asked)
            for device in asked.devices
            for dtype in asked.dtypes
        ],
    )

    def test(prop: Property, device: str, dtype: str, campaign: Callable[..., None]) -> None:
        reason = absent(device)
        if reason is not None:
            pytest.skip(reason)
        try:
            judged = subject()
        except SubjectError as error:
            pytest.fail(str(error), pytrace=False)
        entry = replace(judged.entry, waivers={**judged.entry.waivers, **asked.waive})
        if not contract and not prop.missing(lenient(entry)):
            entry = lenient(entry)
        if prop.missing(entry):
            pytest.skip(f"needs {', '.join(prop.missing(entry))}")
        with catalogue.added(entry):
            campaign(Target(entry, prop, device, dtype), judged.run)

    marked: Callable[..., None] = parametrized(test)
    return marked


def _may_apply(prop: Property, kind: Row, asked: Asked) -> bool:
    """Whether a property may apply to a layer of the kind; what decides nothing is no test."""
    if not asked.contract and prop.decides is Decides.CONTRACT:
        return False
    best = entry_elsewhere(SubjectSpec("a layer", kind.name), Probed(offers=OFFERS))
    return not prop.missing(best)
