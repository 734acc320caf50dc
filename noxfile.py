"""Every command of the project, one session each: `nox -l` lists them.

What follows `--` is passed on, to pytest where a session runs pytest:
`nox -s verify -- --hypothesis-profile=thorough`.

The environment variable VERIFICATION_TORCH chooses the build of torch: unset, it is whatever
pip's own index serves; `cpu`, `cu130` and the like name a build on torch's index; anything with
`://` is the address of an index. The version stays the one in constraints/cpu.txt.
"""

import os
import shutil
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.5.1"
# Not uv: it neither reads pip's configuration nor finds wheels that pip was told of.
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
nox.options.sessions = ["verify", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
CONSTRAINTS = "constraints/cpu.txt"
VERDICT = "reports/verify"
# Two workers of two threads each ran up to fifty times slower than two of one.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def torch_index() -> list[str]:
    """Return pip's options for the build of torch that VERIFICATION_TORCH names."""
    build = os.environ.get("VERIFICATION_TORCH", "")
    if not build:
        return []
    address = build if "://" in build else f"https://download.pytorch.org/whl/{build}"
    return ["--extra-index-url", address]


def install_groups(session: nox.Session, *groups: str) -> None:
    """Install dependency groups alone, at the pinned versions."""
    session.install("-c", CONSTRAINTS, *nox.project.dependency_groups(PYPROJECT, *groups))


def install(session: nox.Session, *groups: str) -> None:
    """Install the project in place, with dependency groups, at the pinned versions."""
    wanted = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install("-c", CONSTRAINTS, *torch_index(), "-e", ".", *wanted)


@nox.session(tags=["gate"])
def verify(session: nox.Session) -> None:
    """The gate: every shipped layer, then the smoke run on photographs, then one verdict."""
    install(session, "application")
    # A verdict must not rest on the files of an earlier run.
    shutil.rmtree(VERDICT, ignore_errors=True)
    smoke = f"{VERDICT}/smoke.json"
    suite = (
        f"pytest verification/suite -n auto --hypothesis-profile=ci --junitxml={VERDICT}/junit.xml"
    )
    steps = {
        "the suite": [*suite.split(), *session.posargs],
        "the smoke run": (
            f"python -m noise2noise smoke --json {smoke} --pictures {VERDICT}/pictures".split()
        ),
        "the verdict": f"python -m verification report {VERDICT} --smoke {smoke}".split(),
    }
    failed = []
    for name, command in steps.items():
        try:
            session.run(*command, env=ONE_THREAD)
        except CommandFailed:
            failed.append(name)
    if failed:
        session.error(f"failed: {', '.join(failed)}")


@nox.session(tags=["gate"])
def tests(session: nox.Session) -> None:
    """Every test but the slow ones, the tests of the tests included: `pytest -n auto`."""
    install(session, "application", "databases", "reportlog")
    session.run("pytest", "-n", "auto", *session.posargs, env=ONE_THREAD)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, docstrings and the import arrows, by ruff; the jobs, by GitHub's own schemas."""
    install_groups(session, "lint")
    session.run("ruff", "check", ".", *session.posargs)
    schema = ("check-jsonschema", "--builtin-schema")
    session.run(*schema, "vendor.github-workflows", *map(str, Path(".github").rglob("*.yml")))
    session.run(*schema, "vendor.github-actions", "action.yml")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types on the four packages, by mypy."""
    install(session, "application", "types")
    session.run("mypy", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed against torch: `-- layers --quick`, `-- gradcheck --json FILE`; bare, all layers."""
    install(session, "application")
    session.run("python", "-m", "benchmarks", *(session.posargs or ["layers"]))


@nox.session
def docs(session: nox.Session) -> None:
    """Run every code block of the README and the guides."""
    install(session, "application")
    session.run("pytest", "verification/meta/test_documents.py", *session.posargs, env=ONE_THREAD)


@nox.session(tags=["night"])
def mutation(session: nox.Session) -> None:
    """Every file of the layers and of gradcheck, one small change at a time: `-- FILE --jobs 2`.

    It takes hours, and goes on where it was ended: verdicts are kept in reports/mutants.jsonl.
    """
    install(session)
    session.run("python", "-m", "verification.meta.mutants", *session.posargs, env=ONE_THREAD)


@nox.session(tags=["night"])
def references(session: nox.Session) -> None:
    """torch.nn's own layers against their rows: the catalogue's false-alarm test."""
    install(session)
    session.run(
        "pytest",
        "verification/meta/references/test_references.py",
        "-n",
        "auto",
        "-m",
        "slow or not slow",
        *session.posargs,
        env=ONE_THREAD,
    )


@nox.session(tags=["night"])
def nightly(session: nox.Session) -> None:
    """Everything, the slow tests too, with ten thousand examples a property."""
    install(session, "application", "databases", "reportlog")
    session.run(
        "pytest",
        "-n",
        "auto",
        "-m",
        "slow or not slow",
        "--hypothesis-profile=nightly",
        *session.posargs,
        env=ONE_THREAD,
    )
