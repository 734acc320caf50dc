"""pytest's options of the suite, and what they select."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verification.cases.case_file import SUFFIX

if TYPE_CHECKING:
    from verification.report.baseline import Baseline
    from verification.running.selection import Selection


def add_options(parser: pytest.Parser) -> None:
    """All begin with --verify, but for --replay-case: pytest has one space for everybody's."""
    group = parser.getgroup("verification", "verification of hand-written layers")
    for what, example in {
        "layer": "Conv2d",
        "property": "gradients_match_reference",
        "device": "cpu or cuda",
        "dtype": "float32 or float64",
    }.items():
        group.addoption(
            f"--verify-{what}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"verify only this {what} ({example}); may be repeated",
        )
    group.addoption(
        "--verify-examples",
        type=int,
        metavar="N",
        help="examples per layer, property, device and dtype, in the place of the profile's",
    )
    group.addoption(
        "--verify-shard",
        metavar="NUMBER/COUNT",
        help="verify only this part of the layers and properties, such as 3/8",
    )
    group.addoption(
        "--verify-cases",
        type=Path,
        default=Path("reports/cases"),
        metavar="DIR",
        help="folder for the case files of failures (default: %(default)s)",
    )
    group.addoption(
        "--verify-baseline",
        type=Path,
        metavar="FILE",
        help="an earlier run's summary.json: fail only on what is not in it",
    )
    group.addoption(
        "--verify-allow-layer",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="let replayed cases run this layer, which is not of the catalogue",
    )
    group.addoption(
        "--replay-case",
        action="extend",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="replay saved cases and run nothing else",
    )


def require_sensible(config: pytest.Config) -> None:
    """Raise UsageError for options that cannot be meant."""
    examples = config.getoption("--verify-examples")
    if examples is not None and examples < 1:
        raise pytest.UsageError(f"--verify-examples is {examples}: give a number from 1 on")
    for path in config.getoption("--replay-case"):
        if not path.is_file():
            raise pytest.UsageError(f"--replay-case: there is no file {path}")
        if not path.name.endswith(SUFFIX):
            raise pytest.UsageError(f"--replay-case: {path} does not end in {SUFFIX}")


def selection(config: pytest.Config) -> "Selection":
    """What the options select; UsageError for an unknown name."""
    from verification.running.selection import Selection, Shard

    def names(what: str) -> tuple[str, ...]:
        return tuple(config.getoption(f"--verify-{what}"))

    asked: str | None = config.getoption("--verify-shard")
    try:
        shard = None if asked is None else Shard.of(asked)
        return Selection(names("layer"), names("property"), names("device"), names("dtype"), shard)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def baseline(config: pytest.Config) -> "Baseline":
    """What is known to fail, nothing where no file is given; UsageError for one that is none."""
    from verification.report.baseline import Baseline

    path: Path | None = config.getoption("--verify-baseline")
    try:
        return Baseline() if path is None else Baseline.read(path)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
