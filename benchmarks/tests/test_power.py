"""What power measures is kept and shown, and neither it nor the others alarm on right layers."""

import json

import pytest

import scratch_layers
from benchmarks import power_tables
from benchmarks.__main__ import main
from benchmarks.power_others import TYPICAL, ask_others
from benchmarks.power_subjects import Wrong, every_fault

FAULT = "MSELoss-ForgetsTheTwo"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The figures of one fault, from the command."""
    path = tmp_path_factory.mktemp("power") / "power.json"
    assert (
        main(["power", "--json", str(path), "--seeds", "2", "--matrix", "0", "--only", FAULT]) == 0
    )
    return path


def test_a_fault_is_found_with_every_seed_and_by_the_others(measured):
    figures = json.loads(measured.read_text())["faults"][FAULT]
    assert len(figures["examples"]) == 2
    assert None not in figures["examples"]
    assert figures["others"] == dict.fromkeys(power_tables.OTHERS, "found")


def test_a_second_run_measures_only_what_is_missing(measured):
    before = json.loads(measured.read_text())["faults"][FAULT]
    arguments = ["power", "--json", str(measured), "--seeds", "2", "--only", FAULT]
    assert main([*arguments, "--matrix", "1", "--matrix-examples", "2"]) == 0
    after = json.loads(measured.read_text())["faults"][FAULT]
    assert after["seconds"] == before["seconds"]
    assert all(len(seeds) == 1 for seeds in after["properties"].values())


def test_the_tables_name_every_fault(measured):
    faults = json.loads(measured.read_text())["faults"]
    assert FAULT in "\n".join(power_tables.every_fault(faults))
    assert "| MSELoss | 1 | 1 |" in "\n".join(power_tables.by_kind(faults))
    assert "gradients_match_reference" in "\n".join(power_tables.by_property(faults))


@pytest.mark.parametrize("kind", TYPICAL)
def test_the_others_pass_right_layers(kind):
    right = Wrong("right", kind, None, (), layer=getattr(scratch_layers, kind))
    assert ask_others(right) == dict.fromkeys(power_tables.OTHERS, "missed")


def test_the_catalogue_is_as_large_as_was_asked():
    faults = list(every_fault())
    assert sum(bool(fault.shown) for fault in faults) >= 80
    assert sum(not fault.shown for fault in faults) >= 20
    assert len({fault.name for fault in faults}) == len(faults)


def test_right_layers_do_not_alarm_and_a_run_goes_on(tmp_path):
    path = tmp_path / "alarms.json"
    arguments = ["alarms", "--json", str(path), "--each", "2", "--only", "scratch_layers.MSELoss"]
    assert main([*arguments, "--examples", "10"]) == 0
    first = json.loads(path.read_text())
    assert main([*arguments, "--examples", "120"]) == 0
    second = json.loads(path.read_text())
    assert second["examples"]["scratch_layers.MSELoss"] >= 120
    assert second["rounds"]["scratch_layers.MSELoss"] > first["rounds"]["scratch_layers.MSELoss"]
    assert second["alarms"] == []
