"""The child process that a foreign layer runs in: `python -P -m verification.running.child`.

It says when it is there, is told the layer, says when that is imported, and then what it found out
about it. Then it gets one case after another, and answers each with its outcome. Both ways go JSON
and nothing else: what a layer writes to the connection can at worst be refused.
"""

import json
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from verification import catalogue
from verification.cases.case_file import case_from_json, subject_from_json
from verification.subjects.foreign import foreign_entry
from verification.subjects.loading import SubjectError, load
from verification.trials.discrepancy import Discrepancy, Finding
from verification.trials.guards import globals_restored
from verification.trials.outcome import outcome_to_json
from verification.trials.run_case import run_case

GRACE = 5
"""Seconds that the supervisor has to end a case before the child ends itself."""


def main(descriptor: int) -> None:
    """Serve until the supervisor hangs up."""
    connection = Connection(descriptor)
    # What a layer prints, and be it megabytes, must not fill the supervisor's terminal.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    _send(connection, {"ready": True})
    asked = json.loads(connection.recv_bytes())
    torch.set_num_threads(asked["threads"])
    try:
        subject = subject_from_json(asked["subject"])
        with globals_restored():
            loaded = load(subject.name)
            _send(connection, {"imported": True})
            entry, found = foreign_entry(loaded, subject, careful=asked["careful"])
        _limit_memory(asked["memory"])
    except SubjectError as error:
        _send(connection, {"refused": str(error)})
        return
    except (Exception, KeyboardInterrupt) as error:
        _send(connection, {"error": f"{type(error).__name__}: {error}"})
        return
    _send(connection, {"found": found.to_dict()})
    with catalogue.added(entry):
        while True:
            try:
                content = connection.recv_bytes()
            except EOFError:
                return
            # Should the supervisor be gone, a layer that loops is ended by the system's own clock.
            signal.alarm(asked["seconds"] + GRACE)
            answer = _run(content)
            signal.alarm(0)
            _send(connection, answer)


def _send(connection: "Connection[Any, Any]", answer: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(answer).encode())


def _run(content: bytes) -> dict[str, Any]:
    case = case_from_json(json.loads(content))
    try:
        return outcome_to_json(run_case(case))
    except KeyboardInterrupt:
        # Nobody pressed a key: this process is in no terminal's group.
        finding = Finding("raised KeyboardInterrupt", "", "the layer raises KeyboardInterrupt")
        return outcome_to_json(Discrepancy.of(case.property, finding, case))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _limit_memory(more: int) -> None:
    """Let the process write to `more` bytes beyond what it has now. Only Linux says what that is,
    and only there the limit holds.
    """
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        # Its data, and not its whole address space, of which CUDA reserves far more than it uses.
        pages = int(statistics.read_text().split()[5])
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + more, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]))
