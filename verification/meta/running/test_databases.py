"""Example databases: what one machine found fails at once on another, and none turns a verdict."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from hypothesis.database import (
    ExampleDatabase,
    GitHubArtifactDatabase,
    InMemoryExampleDatabase,
    MultiplexedDatabase,
)

from verification.meta.processes import PLUGIN, pytest_in
from verification.running import databases
from verification.running.databases import SLOW, VARIABLE, BestEffort, configured

CONFTEST = """
import hypothesis
from hypothesis import Phase
from verification.running import profiles

profiles.register()
found = hypothesis.settings.get_profile("dev")
hypothesis.settings.register_profile("saved", found, phases=[Phase.reuse], max_examples=5)
"""

TESTS = """
import os
import signal
import pytest
from scratch_layers import ReLU
from verification import catalogue
from verification.meta.harness import broken
from verification.properties import PROPERTIES
from verification.running.selection import Target

class PassesAll(ReLU):
    def backward(self, grad_output):
        super().backward(grad_output)
        return grad_output.clone()

def hunt(campaign, name, layer):
    entry = broken("ReLU", layer)
    with catalogue.added(entry):
        campaign(Target(entry, PROPERTIES[name], "cpu", "float32"))

def test_wrong(campaign):
    hunt(campaign, "gradients_match_reference", PassesAll)

@pytest.mark.skipif("STOP" not in os.environ, reason="redis goes on")
def test_stop_redis():
    os.kill(int(os.environ["STOP"]), signal.SIGKILL)

def test_right(campaign):
    hunt(campaign, "gradients_match_reference", type("Right", (ReLU,), {}))

def test_wrong_too(campaign):
    hunt(campaign, "results_are_exact_on_integers", PassesAll)
"""


@pytest.fixture
def redis() -> Iterator[tuple[str, int]]:
    """The address of a Redis of our own, and its process."""
    pytest.importorskip("redis", reason="no Redis client here")
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    try:
        _await(port)
        yield f"redis://127.0.0.1:{port}/0", process.pid
    finally:
        process.kill()
        process.wait()


def _await(port: int) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.05)
        else:
            return


def counted_in(folder: Path, profile: str, **environment: str) -> str:
    """The line that counts, of a run in a folder of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_mine.py").write_text(TESTS)
    run = *PLUGIN, "-q", "test_mine.py", f"--hypothesis-profile={profile}"
    _, shown = pytest_in(folder, *run, **{"CI": None, **environment})
    (line,) = re.findall(r"^.* in [\d.]+s.*$", shown, re.MULTILINE)
    return line


def test_what_one_machine_found_fails_at_once_on_another(
    redis: tuple[str, int], tmp_path: Path
) -> None:
    address, _ = redis
    assert "2 failed, 1 passed, 1 skipped" in counted_in(
        tmp_path / "one", "dev", **{VARIABLE: address}
    )
    # The other machine runs nothing but five saved examples.
    assert "2 failed, 2 skipped" in counted_in(tmp_path / "two", "saved", **{VARIABLE: address})
    assert "failed" not in counted_in(tmp_path / "three", "saved")


def test_a_redis_that_stops_half_way_turns_no_verdict(
    redis: tuple[str, int], tmp_path: Path
) -> None:
    address, process = redis
    first = counted_in(tmp_path / "one", "dev", **{VARIABLE: address, "STOP": str(process)})
    assert "2 failed, 2 passed" in first
    # It is down from the beginning now.
    assert "2 failed, 1 passed, 1 skipped" in counted_in(
        tmp_path / "two", "dev", **{VARIABLE: address}
    )


def now() -> str:
    """The name of an archive that was downloaded just now."""
    return datetime.now(UTC).isoformat().replace(":", "_")


def test_what_a_job_uploaded_fails_at_once_at_the_desk(tmp_path: Path) -> None:
    """The archive lies where a download of today would: the network is left out, and no more."""
    job, desk = tmp_path / "job", tmp_path / "desk"
    assert "2 failed, 1 passed, 1 skipped" in counted_in(job, "dev")
    cache = desk / ".hypothesis/github-artifacts/hypothesis-example-db"
    shutil.make_archive(str(cache / now()), "zip", job / ".hypothesis/examples")
    address = "github://owner/repository"
    assert "2 failed, 2 skipped" in counted_in(desk, "saved", **{VARIABLE: address})


@pytest.mark.filterwarnings("ignore:The downloaded artifact")
def test_an_upload_that_is_no_archive_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / f"{now()}.zip").write_bytes(b"no archive")
    database = BestEffort(GitHubArtifactDatabase("owner", "repository", path=tmp_path))
    assert list(database.fetch(b"key")) == []


class Failing(ExampleDatabase):
    calls = 0

    def fetch(self, key: bytes) -> Iterable[bytes]:
        self.calls += 1
        raise ConnectionError("down")

    save = delete = move = fetch  # type: ignore[assignment]


class Slow(Failing):
    def fetch(self, key: bytes) -> Iterable[bytes]:
        self.calls += 1
        return [b"an example"]


class Garbage(Failing):
    def fetch(self, key: bytes) -> Iterable[bytes]:
        return [None, "text", b"\xff\x00", 3]  # type: ignore[list-item]


def test_after_an_error_a_database_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    inner = Failing()
    database = BestEffort(inner)
    assert list(database.fetch(b"key")) == []
    database.save(b"key", b"value")
    assert inner.calls == 1
    assert "left alone from here on: ConnectionError('down')" in caplog.text


def test_a_slow_database_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, SLOW))
    monkeypatch.setattr(databases.time, "perf_counter", lambda: next(clock))
    inner = Slow()
    database = BestEffort(inner)
    assert list(database.fetch(b"key")) == [b"an example"]
    assert list(database.fetch(b"key")) == []
    assert inner.calls == 1


def test_a_database_that_never_answers_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Silent(Failing):
        def fetch(self, key: bytes) -> Iterable[bytes]:
            self.calls += 1
            Event().wait()
            return []

    monkeypatch.setattr(databases, "SLOW", 0.2)
    inner = Silent()
    database = BestEffort(inner)
    assert list(database.fetch(b"key")) == list(database.fetch(b"key")) == []
    assert inner.calls == 1
    assert "TimeoutError('no answer within 0.2 s')" in caplog.text


def test_garbage_is_dropped() -> None:
    assert list(BestEffort(Garbage()).fetch(b"key")) == [b"\xff\x00"]


def test_what_is_kept_is_found_again() -> None:
    database = BestEffort(InMemoryExampleDatabase())
    database.save(b"a", b"1")
    database.move(b"a", b"b", b"1")
    assert (list(database.fetch(b"a")), list(database.fetch(b"b"))) == ([], [b"1"])
    database.delete(b"b", b"1")
    assert list(database.fetch(b"b")) == []


def test_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert configured() is None
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert isinstance(configured(), BestEffort)
    monkeypatch.setenv(VARIABLE, "github://owner/repository")
    assert isinstance(configured(), MultiplexedDatabase)
    for wrong, says in {"github://owner": "OWNER/REPOSITORY", "ftp://x": "a folder"}.items():
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(ValueError, match=says):
            configured()
