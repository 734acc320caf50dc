"""The simulated accelerator catches faults that no CPU shows, and refuses what CUDA refuses."""

import subprocess
import sys

import pytest

from verification.meta.faults.place import ON_AN_ACCELERATOR, on_an_accelerator
from verification.meta.harness import find_failures
from verification.running.simulated import hunt_simulated

PROPERTY = "gradients_match_reference"


def test_a_tensor_made_on_the_host_is_caught():
    failures = hunt_simulated(tuple(ON_AN_ACCELERATOR), examples=3, find=on_an_accelerator)
    for name in ON_AN_ACCELERATOR:
        (sentence,) = failures[f"broken.{name} {PROPERTY}"]
        assert "Expected all tensors to be on the same device" in sentence


@pytest.mark.parametrize("name", ON_AN_ACCELERATOR)
def test_the_cpu_does_not_show_it(name):
    assert find_failures(on_an_accelerator(name), PROPERTY, examples=20) == []


def test_only_copies_cross_from_one_device_to_another():
    """In a process of its own, since the backend's name is given for ever."""
    script = """
import torch
from verification.trials.simulated_device import SimulatedDevice, register

register()
with SimulatedDevice():
    there, here = torch.ones(2, device="simulated"), torch.ones(2)
    assert there.device.type == "simulated" and (there + 1).device == there.device
    assert (there + there).cpu().tolist() == [2.0, 2.0]
    assert torch.tensor([1.0, 2.0], device="simulated").add_(there).cpu().tolist() == [2.0, 3.0]
    assert (there * torch.tensor(3.0)).sum().item() == 6  # a number may stay on the host
    assert here.to(there.device).device == there.device
    for mixed in (lambda: there + here, lambda: here.add_(there), lambda: torch.cat([here, there])):
        try:
            mixed()
        except RuntimeError as error:
            assert "same device" in str(error)
        else:
            raise AssertionError("mixing devices was not refused")
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
