"""The page of a run: it holds what the summary holds, and works in a browser without a network."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from verification.__main__ import main
from verification.meta.browser import CHROMIUM, Browser
from verification.report.gate import Gate
from verification.report.pictures import pictures
from verification.report.power import Power
from verification.report.summary import Cell, Failure, NotApplicable, Result, Summary, read

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

COMPARED = {
    "shape": [1, 2, 2],
    "places": [3, 0, 1, 2],
    "got": [2.0, 0.0, "nan", 0.0],
    "expected": [-1.0, 0.0, 0.0, 0.0],
    "bound": [0.0, 0.0, 0.0, 0.0],
}

ROW = {name: list(range(16)) for name in ("places", "got", "expected", "bound")}
"""Wider than a phone."""

REPLAY = "pytest --replay-case reports/cases/relu-1.case.json"

TEXT = f"ReLU  gradients match\n  wrong at <0>\n  replay: {REPLAY}"


def cell(layer: str, name: str, result: Result, **more: object) -> Cell:
    return Cell(layer, name, "parity", "correctness", "cpu", "float32", result, **more)


def fault(kind: str, shown: str, examples: list[int | None], other: str) -> dict[str, object]:
    return {"kind": kind, "shown": shown, "examples": examples, "others": {"gradcheck": other}}


SUMMARY = Summary(
    (
        cell("ReLU", "forward_matches", Result.PASSED, examples=10, reach={"no sample": 3}),
        cell(
            "ReLU",
            "gradients_match",
            Result.FAILED,
            failures=(
                Failure("wrong at <0>", TEXT, "x", REPLAY, COMPARED),
                Failure("wrong in a row", compared={**ROW, "shape": [1, 16]}),
            ),
        ),
        # A table that is wider than a screen, and more failures than are unfolded.
        *(
            cell(
                f"ALayerOfALongName{n}", "gradients_match", Result.FAILED, failures=(Failure("x"),)
            )
            for n in range(12)
        ),
        cell("SGD", "forward_matches", Result.NOT_EXERCISED, reason="no <CUDA> device"),
        cell("SGD", "other", Result.NO_VERDICT),
    ),
    (NotApplicable("SGD", "gradients_match", ("a backward",)),),
    1.0,
    {"torch": "2.13.0", "commit": None},
)


POWER = {
    "command": "python -m benchmarks power --json F",
    "faults": {
        "Halved": fault("ReLU", "a negative", [3, 1, 2], "found"),
        "Late": fault("ReLU", "a tie", [9, None, 4], "missed"),
        "GELU wrong": fault("GELU", "", [1, 1, 1], "not asked"),
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    SUMMARY.write(folder)
    (folder / "pictures").mkdir()
    (folder / "pictures/photograph.png").write_bytes(PIXEL)
    (folder / "power.json").write_text(json.dumps(POWER))
    Gate.read(folder, power=folder / "power.json").write(folder)
    return folder


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "index.html").read_text()


def test_the_page_holds_what_the_summary_holds(text: str, folder: Path) -> None:
    assert "<title>verdict: WRONG, 13 campaigns failed</title>" in text
    assert "wrong at &lt;0&gt;" in text
    assert f'data-text="{REPLAY}"' in text
    assert (text.count("wrong at &lt;0&gt;"), text.count(f">{REPLAY}<")) == (1, 1)
    assert "replay: " not in text
    assert "cpu float32: not exercised, no &lt;CUDA&gt; device" in text
    assert "<li>needs a backward: SGD gradients_match</li>" in text
    assert '<th scope="row">no sample</th>' in text
    assert "data:image/png;base64,iVBOR" in text
    assert text.count("<svg") == 6
    assert (text.count("<details open>"), text.count("<details>")) == (3, 10)
    assert read(folder) == SUMMARY


def test_the_page_holds_figures_of_power(folder: Path, text: str) -> None:
    rows = Power.read(folder / "power.json").rows
    assert rows == {
        "ReLU": ("2", "1", "2", "3", "1 of 2"),
        "torch's own kinds": ("1", "1", "1", "1", "not asked"),
        "all": ("3", "2", "1", "3", "1 of 2"),
    }
    assert (
        '<th scope="row">ReLU</th><td>2</td><td>1</td><td>2</td><td>3</td><td>1 of 2</td>' in text
    )


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"faults": {}, "command": ""}'])
def test_what_holds_no_figures_of_power(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SUMMARY.write(tmp_path)
    path = tmp_path / "power.json"
    asked = ["report", str(tmp_path), "--power", str(path)]
    assert main(asked) == 2
    assert "power.json is not there: run `python -m benchmarks power" in capsys.readouterr().err
    path.write_text(content)
    assert main(asked) == 2
    assert "power.json holds no figures of power" in capsys.readouterr().err


def test_the_page_for_a_job_stays_short(tmp_path: Path) -> None:
    many = [Failure(f"sentence {n}", "text\n" * 10) for n in range(5000)]
    failed = cell("ReLU", "gradients_match", Result.FAILED, failures=tuple(many))
    Gate(Summary((failed,))).write(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert len(text) < 2**20
    assert "\n- ReLU, gradients match, float32 cpu: sentence 4999\n" in text


def test_the_page_names_no_other_place(text: str) -> None:
    without_data = re.sub(r"data:image/png;base64,[\w+/=]+", "", text)
    assert re.findall(r"https?:|\bsrc=\"(?!\")[^\"]+|@import|url\(", without_data) == []


def test_the_summary_is_json_for_every_reader(folder: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads((folder / "summary.json").read_text(), parse_constant=refuse)


def test_pictures() -> None:
    expected, got, difference = pictures(COMPARED)
    assert [p.title for p in (expected, got, difference)] == ["expected", "got", "difference"]
    assert 'aria-label="difference: 0, nan, 0, 3"' in difference.svg
    assert '<rect x="56" y="22" width="56" height="22" fill="rgb(255,127,0)">' in got.svg
    assert 'fill="#000000" font-size="11" text-anchor="middle">2</text>' in got.svg
    assert 'fill="#ffffff" font-size="11" text-anchor="middle">nan</text>' in got.svg
    assert "#000000" in got.svg
    assert "rgb(128,191,255)" in expected.svg
    assert list(pictures({**COMPARED, "shape": [20, 20]})) == []
    large = {n: list(range(100)) for n in ("places", "got", "expected", "bound")}
    for picture in pictures(large | {"shape": [10, 10]}):
        assert 'width="140" height="140"' in picture.svg
        assert "<text" not in picture.svg
    scalar = {n: [0] for n in ("places", "got", "expected", "bound")} | {"shape": []}
    assert len(list(pictures(scalar))) == 3


@pytest.fixture(scope="module")
def browser(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    try:
        browser.open(folder / "index.html")
        yield browser
    finally:
        browser.close()


def shown(browser: Browser) -> list[str]:
    rows = "[...document.querySelectorAll('#results tbody tr')].filter(row => !row.hidden)"
    return browser.evaluate(f"{rows}.map(row => row.cells[0].textContent)")


def press(browser: Browser, label: str) -> None:
    """Press a button as a keyboard does: focus, then Enter."""
    buttons = "[...document.querySelectorAll('button')]"
    browser.evaluate(f"{buttons}.find(b => b.textContent === {json.dumps(label)}).focus()")
    for kind in ("rawKeyDown", "char", "keyUp"):
        browser.ask(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            windowsVirtualKeyCode=13,
            text="\r" if kind == "char" else "",
        )


def test_it_works_in_a_browser(browser: Browser, folder: Path) -> None:
    assert shown(browser) == ["forward matches", "gradients match", "other"]
    press(browser, "With failed")
    assert shown(browser) == ["gradients match"]
    assert browser.evaluate("document.getElementById('said').textContent") == "1 properties shown"
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 10
    browser.evaluate("document.querySelector('details:not([open]) > summary').click()")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 9
    press(browser, "All")
    assert len(shown(browser)) == 3
    press(browser, "Copy the command")
    assert "copied" in browser.evaluate("document.getElementById('said').textContent")
    assert browser.complaints() == []
    page = (folder / "index.html").absolute().as_uri()
    assert {url for url in browser.requests() if not url.startswith("data:")} == {page}


def test_on_a_phone_and_in_the_dark(browser: Browser) -> None:
    browser.ask(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=640,
        deviceScaleFactor=2,
        mobile=True,
    )
    width = "document.documentElement.scrollWidth"
    assert browser.evaluate("document.getElementById('results').scrollWidth") > 1000
    assert browser.evaluate(width) <= 360
    colour = "getComputedStyle(document.body).backgroundColor"
    assert browser.evaluate(colour) == "rgb(255, 255, 255)"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.ask("Emulation.setEmulatedMedia", features=dark)
    assert browser.evaluate(colour) == "rgb(22, 22, 22)"


def test_every_control_and_picture_has_a_name(browser: Browser) -> None:
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "image", "img", "link", "heading", "region"}
    without = [
        node["role"]["value"]
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in named
        and not node.get("name", {}).get("value")
    ]
    assert without == []
    assert sum(node.get("role", {}).get("value") == "button" for node in nodes) >= 6


def test_a_broken_page_is_seen(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "broken.html"
    path.write_text("<img src='http://127.0.0.1:9/x.png'><script>throw new Error('x')</script>")
    browser.events.clear()
    browser.open(path)
    assert browser.complaints()
    assert any(url.startswith("http:") for url in browser.requests())
