"""Every shipped layer on the simulated accelerator: no tensor of the host gets into its work."""

from dataclasses import replace

import pytest

from verification.plugin.options import selection
from verification.running.simulated import hunt_simulated


def test_shipped_layers_on_the_simulated_device(pytestconfig: pytest.Config) -> None:
    """Few examples: a tensor on the wrong device is refused at the first."""
    chosen = selection(pytestconfig)
    if chosen.properties or chosen.devices or chosen.dtypes:
        pytest.skip("left out by the selection of properties, devices or dtypes")
    if chosen.shard is not None and chosen.shard.number > 1:
        pytest.skip("belongs to the first shard")
    whole = replace(chosen, shard=None)
    layers = tuple(dict.fromkeys(target.entry.name for target in whole.targets()))
    assert hunt_simulated(layers, examples=3) == {}
