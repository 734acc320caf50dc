"""The controller's side: gather what the items found, write the summary, say it on the terminal.

Registered once a run: in the process that the user started, never in an xdist worker.
"""

import functools
import re
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from verification.plugin.campaigns import journal_path
from verification.plugin.options import baseline, selection

if TYPE_CHECKING:
    from verification.report.summary import Cell, Failure, Summary
    from verification.running.selection import Names, Target

REPORT = Path("reports/verify")
"""Where the summary is written, in the folder that pytest was started in."""

BETWEEN_LINES = 30
"""Seconds between two lines that say how far a run is."""

LAST_LINES = 20
"""What a report keeps of a traceback."""

SUITE_ITEM = re.compile(r"suite/test_layers\.py::test_layer\[(?P<target>.*)\]$")


class Controller:
    """Gathers the reports of one run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.baseline = baseline(config)
        self.reports: dict[str, pytest.TestReport] = {}
        self.others: list[pytest.TestReport] = []
        self.started = self.first = self.told = time.perf_counter()
        self.summary: Summary | None = None

    @functools.cached_property
    def targets(self) -> "dict[str, Target]":
        """The campaigns of the run, by the names of their items."""
        return {str(target): target for target in selection(self.config).targets()}

    @pytest.hookimpl(wrapper=True)  # before pytest counts the report
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Keep the report that tells how a campaign ended; on long runs of the suite say how far it
        is. What fails as the baseline says is an expected failure to pytest.
        """
        item = SUITE_ITEM.search(report.nodeid)
        if item and (report.when == "call" or not report.passed):
            name = item["target"]
            if not self.reports:  # other tests may have run for minutes before
                self.first = self.told = time.perf_counter() - report.duration
            self.reports[name] = report
            self._excuse(report, self.targets[name].names())
            if time.perf_counter() - self.told > BETWEEN_LINES:
                self.told = time.perf_counter()
                self._tell(name)
        elif hasattr(report, "verification"):
            self.others.append(report)
            self._excuse(report, report.verification["names"])
        yield

    def _excuse(self, report: pytest.TestReport, names: "Names") -> None:
        layer, prop, *_ = names
        if report.failed and self.baseline.excuses(layer, prop, _failures(report)):
            report.outcome, report.wasxfail = "skipped", "known by the baseline"

    def _tell(self, latest: str) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        terminal.ensure_newline()
        passed = time.perf_counter() - self.first
        terminal.write_line(progress_line(self.reports, len(self.targets), passed, latest))

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        """A layer took its worker along: hand over the case that was in flight."""
        from verification.cases.case_file import CaseFile
        from verification.cases.provenance import provenance
        from verification.report.failure import case_lines, replay_command
        from verification.running.journal import case_in_flight

        cases: Path = self.config.getoption("--verify-cases")
        worker: Any = getattr(report, "node", None)
        case = None if worker is None else case_in_flight(journal_path(cases, worker.gateway.id))
        if case is None:
            return
        found = {"kind": "died", "tensor": "", "sentence": "the layer ended its process"}
        path = str(CaseFile(case, found, provenance(test=report.nodeid)).write(cases))
        replay = replay_command(case, path)
        report.user_properties += [("case_file", path), ("replay", replay)]
        report.longrepr = "\n  ".join(
            [f"{report.longrepr}, in the middle of", *case_lines(case), f"replay: {replay}"]
        )

    def pytest_sessionfinish(self) -> None:
        """Write the summary, where campaigns ran, and clear the workers' journals away."""
        for journal in self.config.getoption("--verify-cases").glob(journal_path(Path(), "*").name):
            journal.unlink()
        if self.reports or self.others:
            self.summary = self._summary()
            self.summary.write(REPORT)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the summary, and how each failure is replayed."""
        from verification.report.terminal import summary_lines

        if self.summary is not None:
            terminalreporter.section("verification")
            for line in summary_lines(self.summary):
                terminalreporter.write_line(line)
            terminalreporter.write_line(f"for the page: python -m verification report {REPORT}")
            self._annotate(terminalreporter)
        failed = terminalreporter.getreports("failed")
        replays = [(r.nodeid, command) for r in failed for command in _properties(r, "replay")]
        if replays:
            terminalreporter.section("replay")
        for nodeid, command in replays:
            terminalreporter.write_line(f"{nodeid}\n    {command}")

    def _annotate(self, terminalreporter: pytest.TerminalReporter) -> None:
        """On GitHub: show every failure beside the source of its layer."""
        from verification.report.annotations import annotation_lines, wanted
        from verification.report.summary import Result
        from verification.subjects.loading import source_of

        if not wanted() or self.summary is None:
            return
        import scratch_layers

        for layer in self.summary.layers():
            cells = [cell for cell in self.summary.of(Result.FAILED) if cell.layer == layer]
            for line in annotation_lines(cells, source_of(getattr(scratch_layers, layer, None))):
                terminalreporter.write_line(line)

    def _summary(self) -> "Summary":
        import hypothesis

        from verification.cases.provenance import provenance
        from verification.report.summary import NotApplicable, Summary

        chosen = selection(self.config)
        planned = self.targets.items() if self.reports else ()
        inapplicable = chosen.inapplicable() if self.reports else ()
        found = Summary(
            (
                *(_cell(target.names(), self.reports.get(name)) for name, target in planned),
                *(_cell(report.verification["names"], report) for report in self.others),
            ),
            tuple(
                NotApplicable(pair.entry.row.name, pair.prop.name, pair.missing)
                for pair in inapplicable
            ),
            time.perf_counter() - self.started,
            provenance(
                profile=hypothesis.settings.get_current_profile_name(),
                **({} if chosen.shard is None else {"shard": str(chosen.shard)}),
            ),
        )
        return self.baseline.applied(found)


def _cell(names: "Names", report: pytest.TestReport | None) -> "Cell":
    """How a campaign ended; None is one that was planned and did not come back."""
    from verification.report.summary import Cell, Result

    if report is None:
        return Cell(*names, Result.NO_VERDICT)
    result, reason, failures = Result.PASSED, "", _failures(report)
    if failures:
        result = Result.FAILED
    elif report.skipped:
        result, reason = Result.NOT_EXERCISED, _skip_reason(report)
    return Cell(*names, result, reason, failures, **_tally(report))


def progress_line(
    reports: Mapping[str, pytest.TestReport], planned: int, seconds: float, latest: str
) -> str:
    """Campaigns and examples done, failures so far, and the time left if it goes on like this."""
    examples = sum(_tally(report).get("examples", 0) for report in reports.values())
    failed = sum(report.failed for report in reports.values())
    left = seconds / len(reports) * (planned - len(reports))
    return (
        f"verification: {len(reports)} of {planned} campaigns, {examples} examples,"
        f" {failed} failed, about {left:.0f} s left; latest {latest}"
    )


def _skip_reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return reason.removeprefix("Skipped: ")


def _properties(report: pytest.TestReport, wanted: str) -> list[str]:
    return [str(value) for name, value in report.user_properties if name == wanted]


def _tally(report: pytest.TestReport) -> dict[str, Any]:
    tally: dict[str, Any] = getattr(report, "verification", {"tally": {}})["tally"]
    return tally


def _failures(report: pytest.TestReport) -> "tuple[Failure, ...]":
    """What a failed report shows, even if the baseline took it for an expected failure since."""
    from verification.report.summary import Failure

    found = getattr(report, "verification", {"failures": []})["failures"]
    if found or not (report.failed or hasattr(report, "wasxfail")):
        return tuple(Failure(**failure) for failure in found)
    return (_other_failure(report),)


def _other_failure(report: pytest.TestReport) -> "Failure":
    """An error that is no discrepancy: a layer that ended its process, for which a case was kept,
    or a fault of the suite itself, which has no cause that a baseline could know.
    """
    from verification.report.summary import Failure

    lines = str(report.longrepr).strip().splitlines()
    files, commands = _properties(report, "case_file"), _properties(report, "replay")
    file, command = next(iter(files), None), next(iter(commands), "")
    cause = "" if file is None else "died"
    return Failure(lines[-1], "\n".join(lines[-LAST_LINES:]), file, command, cause=cause)
