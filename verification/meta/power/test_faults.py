"""Every fault is caught by the properties that must catch it, and every right layer passes them."""

from collections import Counter

import pytest

from verification import catalogue
from verification.meta.faults import FAULTS
from verification.meta.harness import first_failure
from verification.properties import applicable

CAUGHT = [(fault, name) for fault in FAULTS.values() for name in fault.caught_by]
RIGHT = sorted({(fault.kind, name) for fault, name in CAUGHT})


@pytest.mark.parametrize(
    ("fault", "property_name"), [pytest.param(f, p, id=f"{f.name}-{p}") for f, p in CAUGHT]
)
def test_the_property_catches_the_fault(fault, property_name):
    # What Hypothesis draws depends on the modules that a process has imported, so that a hundred
    # examples, enough for most, would be a matter of luck for the faults that hide.
    found = first_failure(fault.entry, property_name, examples=1000)
    assert found is not None
    # A wrong layer that cannot even be built would be caught by everything.
    assert "cannot be built" not in str(found.discrepancy)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_fault_is_found_with_every_seed(fault, seed):
    """By one of the properties that must catch it; docs/power.md says in how many examples."""
    found = (first_failure(fault.entry, name, seed=seed) for name in fault.caught_by)
    assert next(filter(None, found), None) is not None


@pytest.mark.parametrize(("kind", "property_name"), RIGHT)
def test_the_right_layer_passes_the_property(kind, property_name):
    assert first_failure(catalogue.find(f"scratch_layers.{kind}"), property_name) is None


def test_every_property_of_a_shipped_layer_catches_two_faults():
    caught = Counter(name for _, name in CAUGHT)
    asked = {prop.name for entry in catalogue.SHIPPED.values() for prop in applicable(entry)}
    assert {name: caught[name] for name in asked if caught[name] < 2} == {}
