"""The pytest plugin: the suite's options, its items, replayed case files, and the reports.

It is loaded in every pytest run of an environment that has this package, so it imports neither
torch nor Hypothesis before a test needs them.
"""

import pytest

from verification.plugin.options import add_options, require_sensible


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)  # before Hypothesis's plugin loads the profile
def pytest_configure(config: pytest.Config) -> None:
    """Check the options and register what they ask for."""
    from verification.plugin import campaigns, case_items, controller

    require_sensible(config)
    if config.getoption("--hypothesis-profile", None):
        from verification.running import profiles

        profiles.register()
    if config.getoption("--replay-case"):
        config.args[:] = [str(path.absolute()) for path in config.getoption("--replay-case")]
    config.pluginmanager.register(case_items, "verification-case-items")
    config.pluginmanager.register(campaigns, "verification-campaigns")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(controller.Controller(config), "verification-controller")
