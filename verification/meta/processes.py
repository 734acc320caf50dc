"""pytest in a process and a folder of its own, with the project at hand."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = str(ROOT / "verification/suite")
PLUGIN = ("-p", "verification.plugin")


def pytest_in(folder: Path, *arguments: str, **environment: str | None) -> tuple[int, str]:
    """The exit status, and what was printed; variables that are None are not set."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env={name: value for name, value in variables.items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout
