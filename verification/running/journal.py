"""The case in flight, kept on disk: what a layer was given when it took its process with it."""

import json
import os
from pathlib import Path

from verification.cases import Case
from verification.cases.case_file import case_from_json, case_to_json
from verification.trials.outcome import Outcome
from verification.trials.run_case import run_case


class Journal:
    """One file that always holds the latest case; written before the case runs.

    The write goes to the page cache, which outlives the process: nothing is synced to the disk.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def run(self, case: Case) -> Outcome:
        """Note the case, then `run_case` it."""
        self.write(json.dumps(case_to_json(case)).encode())
        outcome = run_case(case)
        self.write(b"")
        return outcome

    def write(self, content: bytes) -> None:
        """Replace what the file holds."""
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))


def case_in_flight(path: Path) -> Case | None:
    """The case that was running when its process ended; None where there was none."""
    try:
        return case_from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError):  # no journal, an empty one, or one cut off in the middle
        return None
