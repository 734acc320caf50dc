"""Run the code blocks of a Markdown document, in order, and compare what they print.

python    runs, with the names of the blocks before it; a block that begins with a comment that
          names a file, `# my_layer.py`, is written to that file instead
text      right after a python block: what it prints
console   lines that begin with "$ " run in bash; the lines after each are what it prints
json      is JSON; a case file or a summary among them is one that can be read
sh        sets up an environment: not run, but every session and file that it names is there

"..." in what is printed stands for anything. Documents run in a folder of their own.
"""

import contextlib
import doctest
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.cases import case_file
from verification.report import summary

ROOT = Path(__file__).parents[2]
LANGUAGES = ("python", "text", "console", "json", "sh")
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block and the line that it begins at."""

    language: str
    code: str
    line: int


class DocumentError(AssertionError):
    """A block that does not do what the document says."""


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    return [
        Block(found["language"], found["code"], text.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(text)
    ]


def run(document: Path, folder: Path) -> None:
    """Run every block of a document in a folder.

    Raises:
        DocumentError: a block fails, prints something else, or has a language that is not run.
    """
    names: dict[str, Any] = {"__name__": document.stem}
    printed: str | None = None
    for block in blocks(document.read_text()):
        try:
            printed = _run_block(block, names, printed, folder)
        except Exception as error:
            where = f"{document.name}, line {block.line}"
            raise DocumentError(f"{where}: {type(error).__name__}: {error}") from error


def _run_block(
    block: Block, names: dict[str, Any], printed: str | None, folder: Path
) -> str | None:
    """What a python block prints; None for the others."""
    if block.language == "python":
        return _python(block.code, names, folder)
    if block.language == "text":
        _compare(block.code, printed)
    elif block.language == "console":
        for command, expected in _commands(block.code):
            _compare(expected, _bash(command, folder))
    elif block.language == "json":
        _json(block.code)
    elif block.language == "sh":
        _look(block.code)
    else:
        raise DocumentError(f"language {block.language!r}: use one of {', '.join(LANGUAGES)}")
    return None


def _python(code: str, names: dict[str, Any], folder: Path) -> str:
    file = re.match(r"# (\S+\.py)\n", code)
    if file:
        (folder / file[1]).write_text(code)
        return ""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.chdir(folder):
        exec(compile(code, "<document>", "exec"), names)
    return output.getvalue()


def _commands(code: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        # A backslash at the end of a line continues the command.
        command = re.match(r"(?:.*\\\n)*.*\n", part)
        assert command is not None
        yield command[0], part[command.end() :]


def _bash(command: str, folder: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        # Where the project is not installed, pytest does not know the plugin.
        "PYTEST_ADDOPTS": "-p verification.plugin -p no:cacheprovider",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def _compare(expected: str, printed: str | None) -> None:
    if printed is None:
        raise DocumentError("a text block shows what the python block before it prints")
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not doctest.OutputChecker().check_output(expected, printed, options):
        raise DocumentError(f"expected:\n{expected}\nprinted:\n{printed}")


def _json(code: str) -> None:
    data = json.loads(code)
    if isinstance(data, dict) and "cells" in data:
        summary.from_dict(data)
    elif isinstance(data, dict) and "schema" in data:
        case_file.parse(code)


def _look(code: str) -> None:
    sessions = set(re.findall(r"@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text()))
    for words in (shlex.split(line, comments=True) for line in code.splitlines()):
        named = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "-s"]
        for session in set(named) - sessions:
            raise DocumentError(f"nox has no session {session!r}")
        for name in [words[i + 1] for i, word in enumerate(words[:-1]) if word == "-c"]:
            if not (ROOT / name).exists():
                raise DocumentError(f"there is no file {name}")
