"""The case in flight, kept on disk: what a layer was given when it took its process with it."""

import json
import mmap
from pathlib import Path

from verification.cases import Case
from verification.cases.case_file import case_from_json, case_to_json
from verification.trials.outcome import Outcome
from verification.trials.run_case import run_case

SIZE = 2**20
"""Bytes of a journal. A drawn case needs some thousand; a longer one is not kept."""

END = b"\0"


class Journal:
    """One file that always holds the latest case; written before the case runs.

    The file is mapped into memory: a note costs no system call, and it outlives the process, since
    the pages are the system's. Nothing is synced to the disk.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(SIZE))  # not sparse: a full disk must be an error here, not later
        with path.open("r+b") as file:
            self._pages = mmap.mmap(file.fileno(), SIZE)

    def run(self, case: Case) -> Outcome:
        """Note the case, then `run_case` it."""
        self.write(json.dumps(case_to_json(case)).encode())
        outcome = run_case(case)
        self.write(b"")
        return outcome

    def write(self, content: bytes) -> None:
        """Replace what the file holds."""
        kept = content if len(content) < SIZE else b""
        self._pages[: len(kept) + 1] = kept + END


def case_in_flight(path: Path) -> Case | None:
    """The case that was running when its process ended; None where there was none."""
    try:
        return case_from_json(json.loads(path.read_bytes().partition(END)[0]))
    except (OSError, ValueError):  # no journal, an empty one, or one cut off in the middle
        return None
