"""The gate: every shipped layer against every property that applies to it, on every device and
dtype.
"""

from collections.abc import Callable

import pytest

from verification.plugin.options import selection
from verification.running.selection import Target, absent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item a target; those of an absent device are there, and skipped for that reason."""
    targets = selection(metafunc.config).targets()
    metafunc.parametrize("target", [_parameter(target) for target in targets])


def _parameter(target: Target) -> object:
    reason = absent(target.device)
    marks = [pytest.mark.skip(reason=reason)] if reason else []
    return pytest.param(target, id=str(target), marks=marks)


def test_layer(target: Target, campaign: Callable[[Target], None]) -> None:
    """The property holds on every case that the campaign draws."""
    campaign(target)
