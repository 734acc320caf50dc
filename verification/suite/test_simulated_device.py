"""Every shipped layer on the simulated accelerator: no tensor of the host gets into its work."""

from verification import catalogue
from verification.running.simulated import hunt_simulated


def test_shipped_layers_on_the_simulated_device() -> None:
    """Few examples: a tensor on the wrong device is refused at the first."""
    assert hunt_simulated(tuple(catalogue.SHIPPED), examples=3) == {}
