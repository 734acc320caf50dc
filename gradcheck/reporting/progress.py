"""Progress of a long check: a line now and then, for whoever asked for it."""

import sys
import time
from collections.abc import Callable

_SECONDS = 1.0  # between two lines


class Progress:
    """Counts the subject's calls, and tells how far a check is at most once a second."""

    def __init__(self, tell: bool | Callable[[str], object], subject: str) -> None:
        self._tell = _to_stderr if tell is True else tell or None
        self._subject, self._where = subject, "looking for what is affine"
        self._calls = 0
        self._start = self._latest = time.monotonic()

    def at(self, tensor: str, done: int, lines: int) -> None:
        """``done`` of so many ``lines`` through ``tensor`` are compared."""
        self._where = f"{tensor}, {done} of {lines} lines"

    def called(self) -> None:
        """One more call of the subject is over."""
        self._calls += 1
        if self._tell is None or time.monotonic() - self._latest < _SECONDS:
            return
        self._latest = time.monotonic()
        seconds = self._latest - self._start
        self._tell(f"{self._subject}: {self._where}; {self._calls} calls in {seconds:.0f} s")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
