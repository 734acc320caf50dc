"""Hypothesis's example databases: failing examples that one run hands to the next, or to another
machine. VERIFICATION_DATABASE says which.

A database is a convenience. One that is down, slow or full of garbage never turns a verdict: after
its first error, or after SLOW seconds in all, it is left alone for the rest of the process.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import TypeVar
from urllib.parse import urlsplit

from hypothesis.database import (
    DirectoryBasedExampleDatabase,
    ExampleDatabase,
    GitHubArtifactDatabase,
    MultiplexedDatabase,
    ReadOnlyDatabase,
)

T = TypeVar("T")

VARIABLE = "VERIFICATION_DATABASE"

LOCAL = Path(".hypothesis/examples")
"""Where Hypothesis keeps its examples at the desk."""

SLOW = 10.0
"""Seconds that all answers of a database together may take."""

log = logging.getLogger(__name__)


def configured() -> ExampleDatabase | None:
    """The database that VERIFICATION_DATABASE names; None where it is not set.

    redis://HOST:PORT/NUMBER is shared by many machines, github://OWNER/REPOSITORY reads what a CI
    job uploaded as an artifact beside the local one, anything else is a folder.

    Raises:
        ValueError: the address is incomplete, or its client is not installed.
    """
    address = os.environ.get(VARIABLE, "")
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme == "redis":
        return BestEffort(_redis(address))
    if parts.scheme == "github":
        repository = parts.path.strip("/")
        if not parts.netloc or not repository:
            raise ValueError(f"{VARIABLE} is {address!r}: write github://OWNER/REPOSITORY")
        artifacts = ReadOnlyDatabase(BestEffort(GitHubArtifactDatabase(parts.netloc, repository)))
        return MultiplexedDatabase(DirectoryBasedExampleDatabase(LOCAL), artifacts)
    if parts.scheme:
        raise ValueError(f"{VARIABLE} is {address!r}: a folder, redis://... or github://...")
    return BestEffort(DirectoryBasedExampleDatabase(address))


def _redis(address: str) -> ExampleDatabase:
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis
    except ImportError:
        raise ValueError(f"{VARIABLE} is {address!r}: `pip install redis` first") from None
    # Without a retry: the next run asks again.
    client = Redis.from_url(address, socket_timeout=2, socket_connect_timeout=2, retry=None)
    return RedisExampleDatabase(client)


class BestEffort(ExampleDatabase):
    """A database that is allowed to fail."""

    def __init__(self, database: ExampleDatabase) -> None:
        super().__init__()
        self._database = database
        self._left = SLOW

    def fetch(self, key: bytes) -> Iterable[bytes]:
        return self._attempt(lambda: [v for v in self._database.fetch(key) if type(v) is bytes], [])

    def save(self, key: bytes, value: bytes) -> None:
        self._attempt(lambda: self._database.save(key, value), None)

    def delete(self, key: bytes, value: bytes) -> None:
        self._attempt(lambda: self._database.delete(key, value), None)

    def move(self, src: bytes, dest: bytes, value: bytes) -> None:
        self._attempt(lambda: self._database.move(src, dest, value), None)

    def _attempt(self, act: Callable[[], T], otherwise: T) -> T:
        """The answer, waited for no longer than there is time left. In a thread, since no client
        need have a clock of its own; one that never comes back holds no process from ending.
        """
        if self._left <= 0:
            return otherwise
        answers: Queue[tuple[T, Exception | None]] = Queue()

        def ask() -> None:
            try:
                answers.put((act(), None))
            except Exception as error:  # whatever a network or a disk has to say
                answers.put((otherwise, error))

        started = time.perf_counter()
        Thread(target=ask, daemon=True).start()
        try:
            answer, error = answers.get(timeout=self._left)
        except Empty:
            answer, error = otherwise, TimeoutError(f"no answer within {SLOW} s")
        self._left -= time.perf_counter() - started
        if error is not None:
            self._left = 0.0
            log.warning("the example database is left alone from here on: %r", error)
        return answer
