"""The suite's items: one campaign each, its tally and the case files of its failures.

Runs where the tests run, in every xdist worker: what it finds rides to the controller on the
reports.
"""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from verification.plugin.case_items import CaseItem

if TYPE_CHECKING:
    from verification.running.journal import Journal
    from verification.running.selection import Target
    from verification.trials.discrepancy import Discrepancy

TALLY = pytest.StashKey[Any]()
"""An item's running.campaign.Tally."""

ReportHook = Generator[None, pytest.TestReport, pytest.TestReport]


def journal_path(cases: Path, worker: str) -> Path:
    """Where a worker keeps its case in flight."""
    return cases / f".in-flight-{worker}"


@pytest.fixture(scope="session")
def _journal(request: pytest.FixtureRequest) -> "Journal | None":
    """The journal of an xdist worker. Without xdist a dying layer takes pytest along."""
    from verification.running.journal import Journal

    worker = os.environ.get("PYTEST_XDIST_WORKER")
    cases: Path = request.config.getoption("--verify-cases")
    return None if worker is None else Journal(journal_path(cases, worker))


@pytest.fixture
def campaign(
    request: pytest.FixtureRequest, _journal: "Journal | None"
) -> Callable[["Target"], None]:
    """Run one campaign under the profile and options of this pytest run."""
    import hypothesis

    from verification.running.campaign import Tally, hunt
    from verification.trials.run_case import run_case

    examples: int | None = request.config.getoption("--verify-examples")
    settings = None if examples is None else hypothesis.settings(max_examples=examples)

    def run(target: "Target") -> None:
        tally = request.node.stash[TALLY] = Tally()
        hunt(
            target.entry,
            target.prop,
            device=target.device,
            dtype=target.dtype,
            tally=tally,
            settings=settings,
            run=run_case if _journal is None else _journal.run,
        )
        if tally.examples and tally.examples == tally.unjudged.total():
            pytest.skip(f"nothing to judge in {tally.examples} examples: {_first(tally.unjudged)}")

    return run


def _first(reasons: Any) -> str:
    return str(reasons.most_common(1)[0][0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> ReportHook:
    """Put the tally, the failure's text and its case files into the report."""
    report = yield
    if call.when == "call":
        found = [] if call.excinfo is None else list(_discrepancies(call.excinfo.value))
        files = [_file_of(item, discrepancy) for discrepancy in found]
        if found:
            _describe(report, found, files)
        if TALLY in item.stash:
            # An attribute of the report: xdist carries it to the controller.
            report.verification = {  # type: ignore[attr-defined]
                "tally": item.stash[TALLY].to_dict(),
                "failures": [
                    {"sentence": discrepancy.finding.sentence, "case": file}
                    for discrepancy, file in zip(found, files, strict=True)
                ],
            }
    return report


def _describe(report: pytest.TestReport, found: list["Discrepancy"], files: list[str]) -> None:
    from verification.report.failure import failure_text

    report.user_properties += [("case_file", file) for file in files]
    report.longrepr = "\n\n".join(
        failure_text(discrepancy, f"pytest --replay-case {file}")
        for discrepancy, file in zip(found, files, strict=True)
    )


def _discrepancies(error: BaseException) -> Iterator["Discrepancy"]:
    """The discrepancies that an error is, or groups; none where it is something else too."""
    from verification.trials.discrepancy import Discrepancy

    if isinstance(error, Discrepancy):
        yield error
    elif isinstance(error, BaseExceptionGroup) and error.split(Discrepancy)[1] is None:
        for inner in error.exceptions:
            yield from _discrepancies(inner)


def _file_of(item: pytest.Item, discrepancy: "Discrepancy") -> str:
    """The path of the case file, written unless it is the one that was replayed."""
    if isinstance(item, CaseItem):
        return os.path.relpath(item.path)
    from verification.cases.case_file import CaseFile
    from verification.cases.provenance import provenance

    cases: Path = item.config.getoption("--verify-cases")
    origin = provenance(test=item.nodeid)
    return os.path.relpath(
        CaseFile(discrepancy.case, discrepancy.finding.to_dict(), origin).write(cases)
    )
