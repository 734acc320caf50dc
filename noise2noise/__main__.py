"""`python -m noise2noise {smoke,train}`: exit 0 passed, 1 failed, 2 could not run."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from noise2noise.experiment import Advance, Data, Settings, Training, run_training, trainers
from noise2noise.network import FORMS
from noise2noise.noise import psnr
from noise2noise.photographs import VALIDATION
from noise2noise.smoke import smoke


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    command = _smoke if options.command == "smoke" else _train
    try:
        return command(options)
    except FloatingPointError as error:
        print(f"noise2noise {options.command}: {error}", file=sys.stderr)
        return 1
    except (ModuleNotFoundError, FileNotFoundError, ValueError) as error:
        print(f"noise2noise {options.command}: {error}", file=sys.stderr)
        return 2


def _smoke(options: argparse.Namespace) -> int:
    settings = Settings()
    data = Data.load(settings)
    with _bars() as bars:
        report = smoke(settings, data, _progress(bars))
    _write(options.json, report.to_dict())
    losses = {"scratch_layers": report.training.losses, "torch.nn twin": report.twin.losses}
    _draw(options.pictures, data, report.training, losses, settings)
    print(report)
    return 0 if report.ok else 1


def _train(options: argparse.Namespace) -> int:
    settings = Settings(
        form=options.form,
        steps=options.steps,
        batch=options.batch,
        lr=options.lr,
        momentum=options.momentum,
        seed=options.seed,
    )
    data = Data.load(settings)
    subject, _ = trainers(settings, torch.float32, twins=0)
    with _bars() as bars:
        training = run_training(subject, "scratch_layers", settings, data, _progress(bars))
    noisy = psnr(data.noisy, data.clean)
    figures = {"noisy": noisy, "denoised": training.psnr}
    _write(
        options.json,
        {"settings": asdict(settings), "psnr": figures, "losses": training.losses},
    )
    _draw(options.pictures, data, training, {"scratch_layers": training.losses}, settings)
    print(
        f"held-out photograph {VALIDATION}: noisy {noisy:.2f} dB, denoised {training.psnr:.2f} dB"
    )
    return 0


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _progress(bars: Progress) -> Callable[[str, int], Advance]:
    def start(name: str, steps: int) -> Advance:
        task = bars.add_task(name, total=steps, loss=float("nan"))
        return lambda loss: bars.update(task, advance=1, loss=loss)

    return start


def _write(path: Path | None, figures: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _draw(
    folder: Path | None,
    data: Data,
    training: Training,
    losses: dict[str, list[float]],
    settings: Settings,
) -> None:
    if folder is None:
        return
    # Imported here: a run without pictures needs no matplotlib.
    from noise2noise.pictures import draw_losses, draw_photograph

    folder.mkdir(parents=True, exist_ok=True)
    draw_photograph(folder / "photograph.png", data.noisy, training.denoised, data.clean)
    draw_losses(folder / "losses.png", losses, settings.sigma)


def _positive(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    parse.__name__ = kind.__name__  # argparse names the type so
    return parse


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    shared.add_argument("--pictures", type=Path, metavar="DIR", help="write PNG files there")
    parser = argparse.ArgumentParser(prog="python -m noise2noise", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "smoke", parents=[shared], help="a fixed training beside its twin, judged: the gate's end"
    )
    train = commands.add_parser("train", parents=[shared], help="a training of your own")
    default = Settings()
    train.add_argument("--form", choices=FORMS, default=default.form, help="upsamplings")
    train.add_argument("--steps", type=_positive(int), default=default.steps)
    train.add_argument("--batch", type=_positive(int), default=default.batch, help="crops a step")
    train.add_argument("--lr", type=_positive(float), default=default.lr, help="learning rate")
    train.add_argument("--momentum", type=float, default=default.momentum)
    train.add_argument("--seed", type=int, default=default.seed)
    return parser


if __name__ == "__main__":
    # Layers this small gain nothing from a second thread, and the gate shares its cores.
    torch.set_num_threads(1)
    sys.exit(main())
