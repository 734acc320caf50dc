"""One training on the photographs: settings in; losses, a denoised photograph, decibels out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noise2noise.agreement import REPLICAS, Agreement, follow
from noise2noise.network import Form, denoiser
from noise2noise.noise import SIGMA, add_noise, psnr
from noise2noise.photographs import TRAINING, VALIDATION, noisy_pairs, photograph
from noise2noise.training import (
    BATCH,
    LEARNING_RATE,
    MOMENTUM,
    ScratchTrainer,
    Trainer,
    train,
)
from noise2noise.twin import TwinTrainer, denoiser_twin

AGREEMENT_STEPS = 50

Advance = Callable[[float], None]
# Opens a progress bar of a name and a length, and returns what moves it on by one step.
Progress = Callable[[str, int], Advance]


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training; `sigma` is on the scale from 0 to 1."""

    form: Form = "two"
    steps: int = 800
    batch: int = BATCH
    lr: float = LEARNING_RATE
    momentum: float = MOMENTUM
    sigma: float = SIGMA
    seed: int = 0


@dataclass(frozen=True)
class Data:
    """The training photographs, and the held-out one, (1, 3, 512, 512), clean and noisy.

    The network is trained on crops and judged on a whole photograph: it has no fixed input size.
    """

    training: Sequence[Tensor]
    clean: Tensor
    noisy: Tensor

    @classmethod
    def load(cls, settings: Settings) -> "Data":
        """Read the photographs and add the noise of `settings` to the held-out one."""
        clean = photograph(VALIDATION).unsqueeze(0)
        generator = torch.Generator().manual_seed(settings.seed)
        noisy = add_noise(clean, settings.sigma, generator)
        return cls([photograph(name) for name in TRAINING], clean, noisy)

    def pairs(self, settings: Settings, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the batches of `settings`, from the first one on."""
        return noisy_pairs(self.training, settings.batch, settings.sigma, settings.seed, dtype)


def trainers(
    settings: Settings, dtype: torch.dtype, twins: int
) -> tuple[ScratchTrainer, list[TwinTrainer]]:
    """Return the training by hand and `twins` twins, all with the same initial weights.

    The weights are drawn in float32 whatever `dtype` is, since torch draws other numbers in
    float64: both comparisons shall start from the same network.
    """
    torch.manual_seed(settings.seed)
    network = denoiser(settings.form).to(dtype=dtype)
    copies = []
    for _ in range(twins):
        copy = denoiser_twin(settings.form).to(dtype)
        copy.load_state_dict(network.state_dict())
        copies.append(TwinTrainer(copy, settings.lr, settings.momentum))
    return ScratchTrainer(network, settings.lr, settings.momentum), copies


@dataclass(frozen=True)
class Training:
    """What came of one training: the loss of every step, and the held-out photograph denoised."""

    losses: list[float]
    denoised: Tensor
    psnr: float


def run_training(
    trainer: Trainer, name: str, settings: Settings, data: Data, progress: Progress
) -> Training:
    """Train on `settings.steps` batches in float32 and denoise the held-out photograph."""
    pairs = data.pairs(settings, torch.float32)
    losses = train(trainer, pairs, settings.steps, progress(name, settings.steps))
    denoised = trainer.denoise(data.noisy)
    return Training(losses, denoised, psnr(denoised, data.clean))


def check_agreement(settings: Settings, data: Data, progress: Progress) -> Agreement:
    """Follow the training by hand and its twin through AGREEMENT_STEPS steps in float64."""
    subject, (reference, *replicas) = trainers(settings, torch.float64, 1 + REPLICAS)
    advance = progress("both in float64", AGREEMENT_STEPS)
    pairs = data.pairs(settings, torch.float64)
    return follow(subject, reference, replicas, pairs, AGREEMENT_STEPS, advance)
