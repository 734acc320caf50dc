"""The smoke run's verdict, and the command line around it."""

import json
from dataclasses import replace

import pytest
import torch

from noise2noise.__main__ import main
from noise2noise.agreement import Agreement
from noise2noise.experiment import Data, Settings, Training, run_training, trainers
from noise2noise.network import FORMS
from noise2noise.noise import psnr
from noise2noise.smoke import SmokeReport, smoke


def silent(name, steps):
    return lambda loss: None


def reached(decibels):
    return Training(losses=[0.05], denoised=torch.zeros(1, 3, 4, 4), psnr=decibels)


PASSED = SmokeReport(
    settings=Settings(),
    noisy_psnr=14.15,
    training=reached(24.0),
    twin=reached(24.1),
    agreement=Agreement(steps=50, difference=0.0, ratio=0.5, step=3, parameter="0.weight"),
    seconds=30.0,
)


def test_a_good_run_passes_and_its_figures_survive_json():
    assert PASSED.ok
    figures = json.loads(json.dumps(PASSED.to_dict(), allow_nan=False))
    assert figures["ok"] is True
    assert figures["psnr"]["denoised"] == 24.0
    assert "noisy 14.15 dB, denoised 24.00 dB, by the torch.nn twin 24.10 dB" in str(PASSED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"training": reached(22.99)}, "denoised to 22.99 dB; at least 23.0 dB is required"),
        ({"training": reached(float("nan"))}, "denoised to nan dB"),
        ({"twin": reached(24.6)}, "at most 0.5 dB apart is allowed"),
        ({"agreement": replace(PASSED.agreement, ratio=1.01)}, "parts from the torch.nn twin"),
        ({"agreement": replace(PASSED.agreement, ratio=float("inf"))}, "parts from the torch.nn"),
    ],
)
def test_each_way_to_fail_says_why(change, reason):
    report = replace(PASSED, **change)
    assert not report.ok
    assert any(reason in sentence for sentence in report.reasons)
    assert "FAILED: " in str(report)


def test_too_short_a_run_fails_for_its_noise_alone():
    short = Settings(steps=2, batch=2)
    report = smoke(short, Data.load(short), silent)
    (reason,) = report.reasons
    assert reason.startswith("denoised to ")
    assert len(report.training.losses) == 2


@pytest.mark.parametrize("form", FORMS)
def test_both_forms_learn(form):
    settings = Settings(form=form, steps=150, batch=16)
    data = Data.load(settings)
    subject, _ = trainers(settings, torch.float32, twins=0)
    before = psnr(subject.denoise(data.noisy), data.clean)
    training = run_training(subject, form, settings, data, silent)
    assert training.psnr > max(before, psnr(data.noisy, data.clean)) + 5


def test_the_reports_learning_rate_learns_nothing_from_a_mean():
    settings = Settings(steps=150, batch=16, lr=1e-6)
    data = Data.load(settings)
    subject, _ = trainers(settings, torch.float32, twins=0)
    before = psnr(subject.denoise(data.noisy), data.clean)
    after = run_training(subject, "report's rate", settings, data, silent).psnr
    assert abs(after - before) < 0.01  # decibels


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_smoke_exits_with_its_verdict(ratio, tmp_path, monkeypatch, capsys):
    report = replace(PASSED, agreement=replace(PASSED.agreement, ratio=ratio))
    monkeypatch.setattr("noise2noise.__main__.smoke", lambda settings, data, progress: report)
    figures = tmp_path / "smoke.json"
    assert main(["smoke", "--json", str(figures)]) == (0 if report.ok else 1)
    assert json.loads(figures.read_text())["ok"] is report.ok
    assert str(report) in capsys.readouterr().out


@pytest.mark.parametrize("form", FORMS)
def test_train_writes_its_figures_and_pictures(form, tmp_path, capsys):
    arguments = ["train", "--form", form, "--steps", "3", "--batch", "2"]
    figures, pictures = tmp_path / "new" / "figures.json", tmp_path / "pictures"
    assert main([*arguments, "--json", str(figures), "--pictures", str(pictures)]) == 0
    written = json.loads(figures.read_text())
    assert written["settings"]["form"] == form
    assert len(written["losses"]) == 3
    for name in ("photograph.png", "losses.png"):
        assert (pictures / name).read_bytes().startswith(b"\x89PNG")
    captured = capsys.readouterr()
    assert f"denoised {written['psnr']['denoised']:.2f} dB" in captured.out
    assert "3/3" in captured.err


def test_a_training_that_diverges_fails(capsys):
    assert main(["train", "--steps", "20", "--batch", "2", "--lr", "1e38"]) == 1
    assert "training diverged; choose a smaller learning rate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "--steps: 0 is not a positive number"),
        (["--batch", "1.5"], "--batch: invalid int value: '1.5'"),
        (["--lr", "nan"], "--lr: nan is not a positive number"),
        (["--form", "three"], "--form: invalid choice"),
    ],
)
def test_a_wrong_option_is_refused_by_name(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_momentum_that_the_optimiser_refuses_exits_with_two(capsys):
    assert main(["train", "--momentum", "-1"]) == 2
    assert "momentum" in capsys.readouterr().err
