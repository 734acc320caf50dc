"""Where a case file was written: versions, platform, commit. For its reader, not for a replay."""

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path


def provenance(**more: str) -> dict[str, str | None]:
    """Versions of what computed, the platform, the commit, and whatever else the writer knows."""
    return {**_here(), **more}


@functools.cache
def _here() -> dict[str, str | None]:
    packages = ("scratch-layers", "torch", "hypothesis")
    return {
        **{package: _version(package) for package in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return None


def _commit() -> str | None:
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # no git here
        return None
    return asked.stdout.strip() or None
