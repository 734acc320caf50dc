"""A slower cell is named, and nothing else is."""

import json

import pytest

from benchmarks.__main__ import main


def write(path, kind="layers", **ratios):
    """A file with cells of these (low, median, high)."""
    cells = [
        {"name": name, "ratio": {"low": low, "median": median, "high": high}}
        for name, (low, median, high) in ratios.items()
    ]
    path.write_text(json.dumps({"kind": kind, "machine": {"torch": "2"}, "cells": cells}))
    return str(path)


@pytest.mark.parametrize(
    ("after", "worse"),
    [
        ((0.9, 1.0, 1.1), False),  # the same
        ((1.15, 1.25, 1.3), True),
        ((1.05, 1.25, 1.3), False),  # within the spread of both
        ((1.06, 1.09, 1.1), False),  # less than a tenth
        ((0.5, 0.6, 0.7), False),  # better
    ],
)
def test_a_cell_is_worse_by_more_than_a_tenth_and_beyond_both_spreads(
    after, worse, tmp_path, capsys
):
    old = write(
        tmp_path / "old.json", conv=(0.9, 1.0, 1.1) if after[0] < 1.06 else (0.95, 1.0, 1.05)
    )
    new = write(tmp_path / "new.json", conv=after)
    assert main(["compare", old, new]) == int(worse)
    assert ("conv: 1.00 ->" in capsys.readouterr().out) == worse


def test_cells_in_one_file_only_are_named(tmp_path, capsys):
    old = write(tmp_path / "old.json", a=(1, 1, 1))
    new = write(tmp_path / "new.json", b=(9, 9, 9))
    assert main(["compare", old, new]) == 0
    assert {"in one file only: a", "in one file only: b"} <= set(
        capsys.readouterr().out.split("\n")
    )


def test_files_of_two_kinds_are_not_compared(tmp_path):
    old, new = write(tmp_path / "o.json"), write(tmp_path / "n.json", kind="gradcheck")
    assert main(["compare", old, new]) == 2


def write_power(path, **examples):
    """A file of faults, each with the examples of every seed."""
    faults = {name: {"examples": found} for name, found in examples.items()}
    path.write_text(json.dumps({"kind": "power", "machine": {"torch": "2"}, "faults": faults}))
    return str(path)


@pytest.mark.parametrize(
    ("after", "worse"),
    [
        ([3, 4, 5], False),
        ([8, 8, 8], False),  # twice as many
        ([8, 9, 10], True),
        ([3, 4, None], False),  # a seed that found nothing is the slowest
        ([3, None, None], True),
    ],
)
def test_a_fault_that_needs_more_than_twice_the_examples_is_named(after, worse, tmp_path, capsys):
    old = write_power(tmp_path / "old.json", swapped=[3, 4, 5], gone=[1, 1, 1])
    new = write_power(tmp_path / "new.json", swapped=after)
    assert main(["compare", old, new]) == int(worse)
    shown = capsys.readouterr().out
    assert ("swapped: 4 ->" in shown) == worse
    assert "in one file only: gone" in shown
