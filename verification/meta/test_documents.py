"""Every code block of the README and the guides does what the document says."""

import re
from pathlib import Path

import pytest

from verification.meta.documents import ROOT, DocumentError, run

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Looks like the repository's root, as far as documents use it."""
    for name in ("examples", "verification"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_document_runs(document: Path, folder: Path) -> None:
    run(document, folder)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_its_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


WRONG = {
    "an error": ("```python\n1 / 0\n```", "line 1: ZeroDivisionError"),
    "another result": ("x\n```python\nprint(2)\n```\n```text\n3\n```", "line 5: .*printed:\n2"),
    "another output": ("```console\n$ echo a\nb\n```", "expected:\nb\n\nprinted:\na"),
    "output of nothing": ("```text\n3\n```", "what the python block before it prints"),
    "no JSON": ("```json\n{\n```", "JSONDecodeError"),
    "no summary": ('```json\n{"schema": 1, "cells": []}\n```', "'totals' is a required property"),
    "no case file": ('```json\n{"schema": 2}\n```', "this version reads 1"),
    "no session": ("```sh\nnox -s fly\n```", "nox has no session 'fly'"),
    "no constraints": ("```sh\npip install -c gone.txt nox\n```", "there is no file gone.txt"),
    "no language": ("```\nx = 1\n```", "language '': use one of python"),
}


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_document_is_found(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.md").write_text(text + "\n")
    with pytest.raises(DocumentError, match=f"(?s){says}"):
        run(tmp_path / "wrong.md", tmp_path)


def test_names_live_on_and_files_are_written(tmp_path: Path) -> None:
    text = (
        "```python\n# mine.py\nVALUE = 4\n```\n```python\nvalue = 2\n```\n"
        "```python\nprint(value)\n```\n```text\n2\n```\n"
        "```console\n$ python -c \\\n'import mine; print(mine.VALUE)'\n4\n"
        "$ echo a b c\na ... c\n```\n"
    )
    (tmp_path / "right.md").write_text(text)
    run(tmp_path / "right.md", tmp_path)
