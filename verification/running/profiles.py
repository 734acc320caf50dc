"""How long a campaign looks: Hypothesis's settings by name, for the suite and for `hunt`.

`ci` is Hypothesis's own profile of that name: 100 examples, the same on every run, no database (its
failures travel as case files). The others draw new examples on every run and keep failures in
Hypothesis's database.
"""

import os

import hypothesis
from hypothesis import HealthCheck
from hypothesis.errors import InvalidArgument

from verification.running import databases

EXAMPLES = {"dev": 100, "ci": 100, "thorough": 1_000, "nightly": 10_000}
"""Examples per layer, property, device and dtype, by profile."""


def register() -> None:
    """Make every profile known to Hypothesis; one that somebody has registered already stays."""
    database = databases.configured()
    for name, examples in EXAMPLES.items():
        try:
            hypothesis.settings.get_profile(name)
        except InvalidArgument:
            hypothesis.settings.register_profile(
                name,
                # Where CI is set, Hypothesis's current profile draws the same on every run.
                hypothesis.settings.get_profile("default"),
                max_examples=examples,
                # One example may build a large tensor or import a kernel: time says nothing of a
                # layer's correctness.
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
                **({} if database is None else {"database": database}),
            )


def default() -> str:
    """The profile where none is asked for: the same examples on every run in CI, new ones at the
    desk.
    """
    return "ci" if os.environ.get("CI") else "dev"
