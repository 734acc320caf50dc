"""Run the cases of a foreign layer in a child process, and hold the verdict here.

A layer that crashes, loops or takes all memory ends its child and nothing else: the case in flight
is `Died`, and the next case gets a new child.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import torch

from verification.cases import Case, SubjectSpec
from verification.cases.case_file import case_to_json, subject_to_json
from verification.subjects.entry import Entry
from verification.subjects.foreign import entry_elsewhere
from verification.subjects.loading import SubjectError
from verification.subjects.probing.probed import Probed
from verification.trials.outcome import Died, Outcome, outcome_from_json

SECONDS = 60
"""What one case may take. The usual one takes milliseconds; the first may compile a kernel."""

SECONDS_TO_START = 300
"""What importing torch and the suite may take."""

MEMORY = 4 * 2**30
"""Bytes that a layer may take beside what torch and its own import have taken."""


class ChildError(RuntimeError):
    """The suite itself failed in the child: no verdict."""


class Supervisor:
    """The child of one layer, started when it is first needed and again after each death.

    subject: by which the child finds the layer and its row.
    """

    def __init__(
        self, subject: SubjectSpec, *, seconds: int = SECONDS, memory: int = MEMORY
    ) -> None:
        self._subject = subject
        self._found: Probed | None = None
        self._seconds = seconds
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def found(self) -> Probed:
        """What the child found out about the layer.

        Raises:
            SubjectError: the layer cannot be imported, built or driven, or ends its process then.
            ChildError: the suite itself failed in the child.
        """
        if self._found is None:
            self._start()
        assert self._found is not None
        return self._found

    @property
    def entry(self) -> Entry:
        """The layer's entry here, where its code does not run; raises as `found` does."""
        return entry_elsewhere(self._subject, self.found)

    def run(self, case: Case) -> Outcome:
        """The outcome of one case.

        Raises:
            SubjectError: the layer cannot be imported, built or driven.
            ChildError: making the case real failed in the child.
        """
        connection = self._connection or self._start()
        content = json.dumps(case_to_json(case)).encode()
        answer = self._ask(connection, content, self._seconds)
        return answer if isinstance(answer, Died) else outcome_from_json(answer, case)

    def _start(self, *, careful: bool = False) -> "Connection[Any, Any]":
        connection = self._new_child()
        asked = {
            "subject": subject_to_json(self._subject),
            "careful": careful,
            "seconds": self._seconds,
            "memory": self._memory,
            "threads": torch.get_num_threads(),
        }
        imported = self._ask(connection, json.dumps(asked).encode(), self._seconds)
        self._require("imported", imported)
        built = self._ask(connection, None, self._seconds)
        if isinstance(built, Died) and not careful:
            # A case that kills it must not keep all others from being judged.
            return self._start(careful=True)
        found = self._require("built", built)["found"]
        if self._found is None:
            self._found = Probed.from_dict(found)
            self._subject = replace(self._subject, found=self._found.told)
        return connection

    def _require(self, what: str, answer: dict[str, Any] | Died) -> dict[str, Any]:
        """The answer, unless the layer could not be imported or built."""
        if isinstance(answer, Died):
            raise SubjectError(
                f"{self._subject.name} cannot be {what} in a process of its own: {answer.reason}"
            )
        if "refused" in answer:
            raise SubjectError(answer["refused"])
        return answer

    def _new_child(self) -> "Connection[Any, Any]":
        ours, theirs = Pipe()
        self._process = subprocess.Popen(
            # -P: this folder's files hide no modules that the parent sees.
            [sys.executable, "-P", "-m", "verification.running.child", str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # A group of its own: keys pressed here do not reach it, what it starts ends with it.
            start_new_session=True,
        )
        theirs.close()
        self._connection = ours
        ready = self._ask(ours, None, SECONDS_TO_START)
        if isinstance(ready, Died):
            raise ChildError(f"the child process did not start: {ready.reason}")
        return ours

    def _ask(
        self, connection: "Connection[Any, Any]", content: bytes | None, seconds: int
    ) -> dict[str, Any] | Died:
        """The child's answer; where nothing is asked, what it says by itself."""
        try:
            if content is not None:
                connection.send_bytes(content)
            if not connection.poll(seconds):
                self._end(patience=0)
                return Died(f"no answer within {seconds} s")
            answer: dict[str, Any] = json.loads(connection.recv_bytes())
        except (EOFError, OSError, ValueError):  # gone, or what came is no answer
            return Died(self._end(patience=10))
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer

    def _end(self, patience: float = 1) -> str:
        """End the child and all that it started, at once if it has not ended by itself within so
        many seconds; how it ended.
        """
        if self._process is None or self._connection is None:
            return ""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        self._process = self._connection = None
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit {status}"
