"""For each row a wrong layer, one small edit of torch's own, which parity with the row must find
within 100 examples; and no error of 1e-4 passes.
"""

from dataclasses import replace

import pytest
import torch

from verification.meta.harness import first_failure
from verification.meta.wrong_twins import PARITY, WRONG
from verification.properties import PROPERTIES
from verification.references.index import ROWS
from verification.references.row import Trait
from verification.references.torch_nn import REFERENCES

SHIPPED = {"NearestUpsampling", "Upsampling", "FusedUpsampling", "Sequential"}
"""Rows whose wrong layers are those of the shipped ones, in faults/."""


@pytest.fixture
def entry_with(monkeypatch):
    """The entry of a row whose twin is another."""

    def entry(row, twin):
        name = next(name for name, entry in REFERENCES.items() if entry.row.name == row)
        monkeypatch.setitem(ROWS, row, replace(ROWS[row], twin=twin))
        return REFERENCES[name]

    return entry


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_the_row_finds_the_wrong_layer(wrong, entry_with):
    entry = entry_with(wrong.row, wrong.twin)
    names = [name for name in wrong.caught_by if not PROPERTIES[name].missing(entry)]
    found = next(filter(None, (first_failure(entry, name) for name in names)), None)
    assert found is not None
    assert "cannot be built" not in found.discrepancy.finding.sentence


def test_every_row_has_a_wrong_twin():
    assert ROWS.keys() - {wrong.row for wrong in WRONG} == SHIPPED


SLIGHTLY = 1 + 2.0**-13
"""torch's gradcheck allows eight times as much."""


class Steeper(torch.autograd.Function):
    """The identity, whose gradient is a little too large."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return SLIGHTLY * gradient


def slightly_off(twin, change):
    """The right layer, each of whose outputs is changed."""

    def changed(output):
        return tuple(map(change, output)) if isinstance(output, tuple) else change(output)

    def build(*children, **arguments):
        layer = twin(*children, **arguments)
        layer.register_forward_hook(lambda layer, inputs, output: changed(output))
        return layer

    return build


@pytest.mark.parametrize(
    ("change", "seen_by"),
    [(lambda y: SLIGHTLY * y, PARITY[0]), (Steeper.apply, PARITY[1])],
    ids=["output", "gradient"],
)
@pytest.mark.parametrize(
    "name", [e.row.name for e in REFERENCES.values() if Trait.DIFFERENTIABLE in e.row.traits]
)
def test_a_small_error_shows(name, change, seen_by, entry_with):
    entry = entry_with(name, slightly_off(ROWS[name].twin, change))
    found = first_failure(entry, seen_by)
    assert found is not None
    assert found.discrepancy.finding.kind == "value"
