"""The commands: exit statuses, clear sentences, and a report on a layer of one's own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scratch_layers
import verification
from verification.__main__ import main
from verification.cases import SubjectSpec
from verification.commands import run as run_command
from verification.report.summary import Cell, NotApplicable, Result, Summary
from verification.subjects.foreign import foreign_entry
from verification.subjects.loading import SubjectError, importable_name, load

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "examples/report_upsampling.py") + ":ReportUpsampling"


class PlainConv:
    """Right, without stride, padding, dilation, groups and bias, and with bare pairs of tensors."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: object) -> None:
        self.layer = scratch_layers.Conv2d(in_channels, out_channels, kernel_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer.forward(x)

    def backward(self, grad_output: torch.Tensor) -> torch.Tensor:
        return self.layer.backward(grad_output)

    def param(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return self.layer.param()


class Unflipped(PlainConv):
    """Its backward forgets to flip the kernel's rows."""

    def backward(self, grad_output: torch.Tensor) -> torch.Tensor:
        weight = self.layer.weight
        kept = weight.data
        super().backward(grad_output)
        weight.data = kept.flip(2)
        self.layer.forward(self.x)
        gradient = weight.grad.clone()
        result = self.layer.backward(grad_output)
        weight.data = kept
        weight.grad.copy_(gradient)
        return result

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.x = x
        return super().forward(x)


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_right_layer_is_right() -> None:
    report = verification.check(
        PlainConv, like=torch.nn.Conv2d, properties=PARITY, examples=30, dtypes=["float32"]
    )
    assert report.ok, str(report)
    report.raise_for_failure()
    right = "right: 2 properties hold; taken as bias=False"
    assert str(report).endswith(f"as Conv2d: {right} ({sized(report)})")
    assert not list(Path().glob("reports/cases/*"))


def test_a_wrong_layer_is_wrong_and_filed() -> None:
    report = verification.check(
        Unflipped, like="Conv2d", properties=PARITY, examples=30, dtypes=["float32"]
    )
    assert not report.ok
    assert [cell.property for cell in report.failures] == ["gradients_match_reference"]
    with pytest.raises(verification.LayerIsWrong, match="WRONG: 1 of 2 properties fail"):
        report.raise_for_failure()
    (file,) = Path("reports/cases").iterdir()
    assert str(file) in str(report)
    data = json.loads(json.dumps(report.to_dict()))
    assert (data["ok"], data["totals"]["failed"]) == (False, 1)


PARITY = ("forward_matches_reference", "gradients_match_reference")


def sized(report: verification.Report) -> str:
    return f"{report.summary.examples} examples, {report.summary.seconds:.0f} s"


def test_the_contract_stands_beside_the_verdict_unless_asked() -> None:
    asked = {"properties": ("backward_needs_a_forward",), "examples": 5, "dtypes": ["float32"]}
    beside = verification.check(load(EXAMPLE), like="NearestUpsampling", **asked)
    assert not beside.failures
    assert len(beside.beside) == 1
    assert "the layer contract, beside the verdict:" in str(beside)
    decides = verification.check(load(EXAMPLE), like="NearestUpsampling", contract=True, **asked)
    assert len(decides.failures) == 1


def test_arguments_that_are_not_taken_stay_at_their_defaults() -> None:
    entry, found = foreign_entry(PlainConv, SubjectSpec(importable_name(PlainConv), "Conv2d"))
    assert entry.name.endswith("test_command_line:PlainConv")
    assert dict(found.fixed)["dilation"] == 1
    report = verification.check(
        PlainConv, like="Conv2d", properties=PARITY[:1], examples=50, dtypes=["float64"]
    )
    reach = report.summary.reach(report.layer)
    assert reach["kernel_size differs per axis"] > 0
    assert reach["no bias"] == 50
    assert reach["groups > 1"] == reach["stride differs per axis"] == 0


def test_check_command() -> None:
    """In a process of its own, as a user runs it."""
    check = ["check", EXAMPLE, "--like", "NearestUpsampling", "--property", PARITY[1]]
    done = subprocess.run(
        [sys.executable, "-m", "verification", *check, "--dtype=float64", "--json=out/report.json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(r"^  NearestUpsampling\(scale_factor=[\d.]+\)$", done.stdout, re.MULTILINE)
    assert f"--verify-allow-layer {EXAMPLE}" in done.stdout
    assert json.loads(Path("out/report.json").read_text())["ok"] is False


BAD_CHECKS = {
    "no module": (("nowhere:x", "--like=Conv2d"), "importing nowhere fails: ModuleNotFoundError"),
    "no file": (("nowhere.py:x", "--like=Conv2d"), "there is no file nowhere.py"),
    "no name": (("json:Decoder", "--like=Conv2d"), "json has no 'Decoder'"),
    "no colon": (("json", "--like=Conv2d"), "write package.module:Name or path/to/file.py:Name"),
    "no class": (("sys:path", "--like=Conv2d"), "is a list: name a class"),
    "no kind": ((EXAMPLE, "--like=x"), "no row judges layers like 'x': choose from Linear, "),
    "kind and inputs": (
        (EXAMPLE, "--like=ReLU", "--input=x: n c", "--where=n <= c"),
        "inputs, where can be said only without like",
    ),
    "held without a kind": (
        (EXAMPLE, "--input=x: n c", "--hold=padding=0", "--axes=2"),
        "hold, axes can be said only with like",
    ),
    "no such method": (
        ("scratch_layers:ReLU", "--like=ReLU", "--backward=pull"),
        "ReLU has no pull(): a hand-written layer has",
    ),
    "near kind": ((EXAMPLE, "--like=Rmsnorm"), "like 'Rmsnorm': do you mean RMSNorm or "),
    "other kind": (
        (EXAMPLE, "--like=Conv2d"),
        "kernel_size, without which no Conv2d is built, but scale_factor: say",
    ),
    "takes too little": (("builtins:object", "--like=Conv2d"), "does not take in_channels"),
    "no layer": (("collections:Counter", "--like=ReLU"), "Counter has no forward()"),
    "no build": (
        ("collections:namedtuple", "--like=ReLU"),
        "wants field_names, which the kind has not",
    ),
    "no property": ((EXAMPLE, "--like=NearestUpsampling", "--property=p"), "unknown property 'p'"),
    "no dtype": ((EXAMPLE, "--like=NearestUpsampling", "--dtype=int8"), "unknown dtype 'int8'"),
    "no examples": ((EXAMPLE, "--like=NearestUpsampling", "--examples=0"), "examples is 0"),
}


@pytest.mark.parametrize(("arguments", "says"), BAD_CHECKS.values(), ids=BAD_CHECKS)
def test_bad_checks(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("could not run: ")
    assert says in error
    assert error.count("\n") == 1


def test_where_nothing_is_judged_the_check_could_not_run() -> None:
    if not torch.cuda.is_available():
        assert main(["check", EXAMPLE, "--like=NearestUpsampling", "--device=cuda"]) == 2


def test_run_is_pytest_with_the_selectors_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def stand_in(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 5)

    monkeypatch.setattr(run_command.subprocess, "run", stand_in)
    asked = ["run", "--layer", "ReLU", "--examples=3", "--shard=1/2", "-n", "2", "-x"]
    assert main(asked) == 2
    assert seen[0][0] == sys.executable
    selected = ["--verify-layer=ReLU", "--verify-examples=3", "--verify-shard=1/2"]
    assert seen[0][-6:] == [*selected, "-n", "2", "-x"]


def test_unknown_arguments_are_refused_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["replay", "x.case.json", "--fast"])
    assert left.value.code == 2
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_on_a_terminal_a_bar_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    asked = ["check", "scratch_layers:ReLU", "--like=ReLU", "--examples=1", "--dtype=float32"]
    assert main([*asked, "--property=forward_matches_reference"]) == 0
    shown = capsys.readouterr().out
    assert "1 of 1" in shown
    assert "passed  forward_matches_reference" in shown


def test_a_reader_that_leaves_sees_no_traceback() -> None:
    """As `| head` does."""
    case = next((ROOT / "verification/regressions").glob("*.case.json"))
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "verification", "script", str(case)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (2, "")


def test_a_factory_without_a_signature_is_refused() -> None:
    with pytest.raises(SubjectError, match="shows no signature"):
        foreign_entry(type, SubjectSpec("builtins:type", "ReLU"))


def cell(result: Result, **more: object) -> Cell:
    return Cell("ReLU", "p", "parity", "correctness", "cpu", "float32", result, **more)


SMOKE = {
    "ok": True,
    "reasons": [],
    "psnr": {"noisy": 14.1, "denoised": 23.6, "twin": 23.7, "required": 23.0, "margin": 0.5},
    "seconds": 40.0,
}


@pytest.mark.parametrize(
    ("cells", "smoke", "status", "says"),
    [
        ((cell(Result.PASSED),), SMOKE, 0, "verdict: RIGHT"),
        ((cell(Result.PASSED),), None, 0, "smoke run: not exercised"),
        (
            (cell(Result.PASSED), cell(Result.FAILED)),
            SMOKE,
            1,
            "verdict: WRONG, 1 campaigns failed",
        ),
        (
            (cell(Result.PASSED),),
            SMOKE | {"ok": False, "reasons": ["parts from the twin"]},
            1,
            "smoke run: FAILED: parts from the twin",
        ),
        ((cell(Result.PASSED), cell(Result.NO_VERDICT)), SMOKE, 2, "verdict: NONE, 1 planned"),
        ((cell(Result.NOT_EXERCISED, reason="no CUDA device"),), SMOKE, 2, "verdict: NONE"),
    ],
)
def test_the_gate_joins_suite_and_smoke_run(
    cells: tuple[Cell, ...],
    smoke: dict[str, object] | None,
    status: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path("reports/verify")
    Summary(cells, (NotApplicable("ReLU", "q", ("batched",)),)).write(folder)
    more: tuple[str, ...] = ()
    if smoke is not None:
        (folder / "smoke.json").write_text(json.dumps(smoke))
        more = ("--smoke", str(folder / "smoke.json"))
    assert main(["report", str(folder), *more]) == status
    shown = capsys.readouterr().out
    assert says in shown
    assert "not exercised, needs batched: q" in shown
    assert "| ReLU | p |" in (folder / "report.md").read_text()


def test_the_gate_without_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("reports/verify")
    assert main(["report", str(folder)]) == 2
    assert "summary.json is not there: run" in capsys.readouterr().err
    Summary((cell(Result.PASSED),)).write(folder)
    assert main(["report", str(folder), "--smoke", "none.json"]) == 2
    assert "none.json is not there: run" in capsys.readouterr().err
    (folder / "summary.json").write_text('{"schema": 9}')
    assert main(["report", str(folder)]) == 2
    assert "schema 9, this version reads 1" in capsys.readouterr().err
