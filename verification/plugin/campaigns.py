"""The suite's items: one campaign each, its tally and the case files of its failures.

Runs where the tests run, in every xdist worker: what it finds rides to the controller on the
reports.
"""

from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from verification.plugin.case_items import CaseItem
from verification.trials.discrepancy import discrepancies

if TYPE_CHECKING:
    from verification.report.summary import Failure
    from verification.running.journal import Journal
    from verification.running.selection import Target
    from verification.trials.discrepancy import Discrepancy
    from verification.trials.run_case import Run

CAMPAIGN = pytest.StashKey[tuple[Any, Any]]()
"""An item's selection.Target, and its campaign.Tally."""

ReportHook = Generator[None, pytest.TestReport, pytest.TestReport]


def journal_path(cases: Path, worker: str) -> Path:
    """Where a worker keeps its case in flight."""
    return cases / f".in-flight-{worker}"


@pytest.fixture(scope="session")
def _journal(request: pytest.FixtureRequest) -> "Journal | None":
    """The journal of an xdist worker. Without xdist a dying layer takes pytest along."""
    from verification.running.journal import Journal

    worker: dict[str, str] | None = getattr(request.config, "workerinput", None)
    cases: Path = request.config.getoption("--verify-cases")
    return None if worker is None else Journal(journal_path(cases, worker["workerid"]))


@pytest.fixture
def campaign(request: pytest.FixtureRequest, _journal: "Journal | None") -> Callable[..., None]:
    """Run one campaign under the profile and options of this pytest run; the cases of a layer that
    is `supervised` run where its supervisor runs them.
    """
    import hypothesis

    from verification.running.campaign import Tally, hunt
    from verification.trials.run_case import run_case

    examples: int | None = request.config.getoption("--verify-examples")
    settings = None if examples is None else hypothesis.settings(max_examples=examples)

    def run(target: "Target", supervised: "Run | None" = None) -> None:
        tally = Tally()
        request.node.stash[CAMPAIGN] = target, tally
        hunt(
            *target,
            tally=tally,
            settings=settings,
            run=supervised or (run_case if _journal is None else _journal.run),
        )
        if tally.nothing_judged():
            pytest.skip(tally.nothing_judged())

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> ReportHook:
    """Put the tally, the failure's text and its case files into the report."""
    report = yield
    if call.when == "call":
        error = None if call.excinfo is None else call.excinfo.value
        failures = [_failure(item, discrepancy) for discrepancy in discrepancies(error)]
        if failures:
            report.longrepr = "\n\n".join(failure.text for failure in failures)
        if not isinstance(item, CaseItem):
            report.user_properties += [("case_file", str(failure.case)) for failure in failures]
            report.user_properties += [("replay", failure.replay) for failure in failures]
        if CAMPAIGN in item.stash:
            target, tally = item.stash[CAMPAIGN]
            # An attribute of the report: xdist carries it to the controller.
            report.verification = {  # type: ignore[attr-defined]
                "names": target.names(),
                "tally": tally.to_dict(),
                "failures": [asdict(failure) for failure in failures],
            }
    return report


def _failure(item: pytest.Item, discrepancy: "Discrepancy") -> "Failure":
    """The failure with its case file: the one that was replayed, or one written now."""
    from verification.report.failure import failure_of, save_case

    if isinstance(item, CaseItem):
        return failure_of(discrepancy, item.path)
    cases: Path = item.config.getoption("--verify-cases")
    return failure_of(discrepancy, save_case(discrepancy, cases, test=item.nodeid))
