"""The gate: one verdict from the suite's summary and the smoke run's JSON, and a page about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.report import markdown, page, summary
from verification.report.power import Power
from verification.report.summary import Result, Status, Summary
from verification.report.terminal import summary_lines


@dataclass(frozen=True)
class Smoke:
    """What the smoke run says of itself. The gate reads its file and knows no more of it."""

    ok: bool
    reasons: tuple[str, ...]
    psnr: Mapping[str, float]
    seconds: float

    @classmethod
    def read(cls, path: Path) -> Smoke:
        """The smoke run's JSON; ValueError where there is none."""
        try:
            data: Mapping[str, Any] = json.loads(path.read_text())
            return cls(data["ok"], tuple(data["reasons"]), data["psnr"], data["seconds"])
        except FileNotFoundError:
            raise ValueError(
                f"{path} is not there: run `python -m noise2noise smoke --json {path}` first"
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no report of a smoke run: {error!r}") from None

    def line(self) -> str:
        """Its figures, and why it failed."""
        word = "passed" if self.ok else f"FAILED: {'; '.join(self.reasons)}"
        return (
            f"smoke run: {word}; noisy {self.psnr['noisy']:.2f} dB, denoised"
            f" {self.psnr['denoised']:.2f} dB, the torch.nn twin {self.psnr['twin']:.2f} dB,"
            f" at least {self.psnr['required']} dB required, {self.seconds:.0f} s"
        )


@dataclass(frozen=True)
class Gate:
    """A suite's run, the smoke run where there was one, and what is known of the suite's power,
    which is no part of the verdict.
    """

    suite: Summary
    smoke: Smoke | None = None
    power: Power | None = None

    @classmethod
    def read(cls, folder: Path, smoke: Path | None = None, power: Path | None = None) -> Gate:
        """From the files; ValueError says which is missing or broken."""
        return cls(
            summary.read(folder),
            None if smoke is None else Smoke.read(smoke),
            None if power is None else Power.read(power),
        )

    @property
    def status(self) -> Status:
        """0: everything that was planned passed, or fails as the baseline says. 1: something else
        failed. 2: something has no verdict, or nothing was judged.
        """
        results = self.suite.results()
        if results[Result.FAILED] or (self.smoke is not None and not self.smoke.ok):
            return Status.WRONG
        if results[Result.NO_VERDICT] or not results[Result.PASSED] + results[Result.KNOWN]:
            return Status.COULD_NOT_RUN
        return Status.RIGHT

    def verdict(self) -> str:
        """The verdict in a sentence."""
        results = self.suite.results()
        if self.status == Status.RIGHT and results[Result.KNOWN]:
            return (
                f"verdict: NOTHING NEW, {results[Result.PASSED]} campaigns passed and"
                f" {results[Result.KNOWN]} failed as the baseline says"
            )
        if self.status == Status.RIGHT:
            return f"verdict: RIGHT, {results[Result.PASSED]} campaigns passed and none failed"
        if self.status == Status.WRONG:
            smoke = "" if self.smoke is None or self.smoke.ok else ", and the smoke run failed"
            return f"verdict: WRONG, {results[Result.FAILED]} campaigns failed{smoke}"
        return f"verdict: NONE, {results[Result.NO_VERDICT]} planned campaigns have no verdict"

    def lines(self) -> Iterator[str]:
        """For the terminal."""
        yield from summary_lines(self.suite)
        yield self._smoke_line()
        yield self.verdict()

    def write(self, folder: Path) -> None:
        """Write report.md and index.html beside the summary, with the pictures that are there."""
        verdict, smoke = self.verdict(), self._smoke_line()
        text = "\n".join(markdown.page(self.suite, verdict, smoke)) + "\n"
        (folder / "report.md").write_text(text, encoding="utf-8")
        whole = page.html(self.suite, verdict, smoke, folder / "pictures", self.power)
        (folder / "index.html").write_text(whole, encoding="utf-8")

    def _smoke_line(self) -> str:
        return "smoke run: not exercised" if self.smoke is None else self.smoke.line()
