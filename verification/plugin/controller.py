"""The controller's side: gather what the items found, write the summary, say it on the terminal.

Registered once a run: in the process that the user started, never in an xdist worker.
"""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from verification.plugin.campaigns import journal_path
from verification.plugin.options import selection

if TYPE_CHECKING:
    from verification.report.summary import Cell, Summary
    from verification.running.selection import Target

REPORT = Path("reports/verify")
"""Where the summary is written, in the folder that pytest was started in."""

SUITE_ITEM = re.compile(r"suite/test_layers\.py::test_layer\[(?P<target>.*)\]$")


class Controller:
    """Gathers the reports of one run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.reports: dict[str, pytest.TestReport] = {}
        self.started = time.perf_counter()
        self.summary: Summary | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report that tells how a suite item ended."""
        item = SUITE_ITEM.search(report.nodeid)
        if item and (report.when == "call" or not report.passed):
            self.reports[item["target"]] = report

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        """A layer took its worker along: hand over the case that was in flight."""
        from verification.cases.case_file import CaseFile
        from verification.cases.provenance import provenance
        from verification.running.journal import case_in_flight

        cases: Path = self.config.getoption("--verify-cases")
        worker: Any = getattr(report, "node", None)
        case = None if worker is None else case_in_flight(journal_path(cases, worker.gateway.id))
        if case is None:
            return
        found = {"kind": "died", "tensor": "", "sentence": "the layer ended its process"}
        path = CaseFile(case, found, provenance(test=report.nodeid)).write(cases)
        report.user_properties.append(("case_file", str(path)))
        report.longrepr = f"{report.longrepr}\n  replay: pytest --replay-case {path}"

    def pytest_sessionfinish(self) -> None:
        """Write the summary, where suite items ran."""
        if self.reports:
            self.summary = self._summary()
            self.summary.write(REPORT)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the summary, and how each failure is replayed."""
        from verification.report.terminal import summary_lines

        if self.summary is not None:
            terminalreporter.section("verification")
            for line in summary_lines(self.summary):
                terminalreporter.write_line(line)
        replays = [
            (report.nodeid, file)
            for report in terminalreporter.getreports("failed")
            for name, file in report.user_properties
            if name == "case_file"
        ]
        if replays:
            terminalreporter.section("replay")
        for nodeid, file in replays:
            terminalreporter.write_line(f"{nodeid}\n    pytest --replay-case {file}")

    def _summary(self) -> "Summary":
        import hypothesis

        from verification.cases.provenance import provenance
        from verification.report.summary import NotApplicable, Summary

        chosen = selection(self.config)
        return Summary(
            tuple(self._cell(target) for target in chosen.targets()),
            tuple(
                NotApplicable(pair.entry.row.name, pair.prop.name, pair.missing)
                for pair in chosen.inapplicable()
            ),
            time.perf_counter() - self.started,
            provenance(profile=hypothesis.settings.get_current_profile_name()),
        )

    def _cell(self, target: "Target") -> "Cell":
        from verification.report.summary import Cell, Failure, Result

        report = self.reports.get(str(target))
        found: dict[str, Any] = getattr(report, "verification", {"tally": {}, "failures": []})
        result, reason = Result.NO_VERDICT, ""
        failures = tuple(Failure(**failure) for failure in found["failures"])
        if report is not None and report.skipped:
            result, reason = Result.NOT_EXERCISED, _skip_reason(report)
        elif report is not None:
            result = Result.PASSED if report.passed else Result.FAILED
        if result is Result.FAILED and not failures:
            failures = (Failure(_last_line(report), case=_case_file(report)),)
        return Cell(*target.names(), result, reason, failures, **found["tally"])


def _skip_reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return reason.removeprefix("Skipped: ")


def _last_line(report: pytest.TestReport | None) -> str:
    """What an error that is no discrepancy says: a crash, or a fault of the suite itself."""
    lines = "" if report is None else str(report.longrepr).strip()
    return lines.splitlines()[-1] if lines else ""


def _case_file(report: pytest.TestReport | None) -> str | None:
    properties = [] if report is None else report.user_properties
    return next((str(file) for name, file in properties if name == "case_file"), None)
