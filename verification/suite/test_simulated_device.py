"""Every shipped layer on the simulated accelerator: no tensor of the host gets into its work."""

import pytest

from verification.plugin.options import selection
from verification.running.simulated import hunt_simulated


def test_shipped_layers_on_the_simulated_device(pytestconfig: pytest.Config) -> None:
    """Few examples: a tensor on the wrong device is refused at the first."""
    chosen = selection(pytestconfig)
    if chosen.properties or chosen.devices or chosen.dtypes:
        pytest.skip("left out by the selection of properties, devices or dtypes")
    layers = tuple(dict.fromkeys(target.entry.name for target in chosen.targets()))
    assert hunt_simulated(layers, examples=3) == {}
