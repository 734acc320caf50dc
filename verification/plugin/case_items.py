"""Case files as tests: every *.case.json that pytest meets is replayed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from verification.cases.case_file import SUFFIX, CaseFile, CaseFileError, read


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take every file that is named as a case file, unless it is a failure that an earlier run left
    behind and nobody asked for: those are no tests yet.
    """
    if not file_path.name.endswith(SUFFIX) or _is_left_behind(file_path, parent.config):
        return None
    collector: pytest.Collector = CaseCollector.from_parent(parent, path=file_path)
    return collector


def _is_left_behind(path: Path, config: pytest.Config) -> bool:
    here = config.invocation_params.dir
    if not path.is_relative_to(here / config.getoption("--verify-cases")):
        return False
    given = [here / argument for argument in config.args]
    return not any(folder != here and path.is_relative_to(folder) for folder in given)


class CaseCollector(pytest.File):
    """One case file."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            file = read(self.path)
        except CaseFileError as error:
            raise self.CollectError(str(error)) from None
        item: pytest.Item = CaseItem.from_parent(self, name=file.case.property, file=file)
        yield item


class CaseItem(pytest.Item):
    """One replay; passes when the case no longer fails."""

    def __init__(self, *, file: CaseFile, **keywords: object) -> None:
        super().__init__(**keywords)  # type: ignore[arg-type]
        self.file = file

    def runtest(self) -> None:
        from verification.running.replay import replay
        from verification.trials.discrepancy import Discrepancy
        from verification.trials.outcome import NotExercised

        outcome = replay(self.file, self.config.getoption("--verify-allow-layer")).outcome
        if isinstance(outcome, Discrepancy):
            raise outcome
        if isinstance(outcome, NotExercised):
            pytest.skip(outcome.reason)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"replay {self.path.name}"
