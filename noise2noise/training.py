"""Training by hand: forward, loss, backward, update, with nothing but the scratch layers."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from scratch_layers import SGD, MSELoss, Sequential

# The report's learning rate of 1e-6 belongs to a sum of squared errors. Here the loss is their
# mean, over images from 0 to 1, and 1e-6 learns nothing. 0.25 takes the steps that 2.5e-6 would
# take with the sum over 32 crops, and trains both forms of the network; 0.5 learns a little faster
# but amplifies rounding until a training and its twin end 0.5 dB apart; 2 diverges with one
# upsampling.
LEARNING_RATE = 0.25
MOMENTUM = 0.9
BATCH = 32


class Trainer(Protocol):
    """A network together with its loss and its optimiser; the twin has one too."""

    def step(self, noisy: Tensor, target: Tensor) -> float:
        """Update the parameters once and return the loss before the update."""

    def denoise(self, noisy: Tensor) -> Tensor:
        """Return the network's output for (batch, 3, height, width), without learning."""

    def parameters(self) -> Mapping[str, Tensor]:
        """Return the present parameters by name: views, which later steps change."""


class ScratchTrainer:
    """Trains a network of scratch layers."""

    def __init__(self, network: Sequential, lr: float, momentum: float) -> None:
        self.network = network
        self.loss = MSELoss()
        self.optimizer = SGD(network.parameters(), lr=lr, momentum=momentum)

    def step(self, noisy: Tensor, target: Tensor) -> float:
        """Forward, loss, backward and update; see `Trainer.step`."""
        self.optimizer.zero_grad()
        loss = self.loss(self.network(noisy), target)
        self.network.backward_parameters(self.loss.backward())
        self.optimizer.step()
        return loss.item()

    def denoise(self, noisy: Tensor) -> Tensor:
        """See `Trainer.denoise`."""
        return self.network(noisy)

    def parameters(self) -> dict[str, Tensor]:
        """See `Trainer.parameters`."""
        return {name: parameter.data for name, parameter in self.network.named_parameters()}


def train(
    trainer: Trainer,
    pairs: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    advance: Callable[[float], None],
) -> list[float]:
    """Take `steps` batches from `pairs`; return their losses, and hand each to `advance`.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    losses: list[float] = []
    for noisy, target in islice(pairs, steps):
        loss = trainer.step(noisy, target)
        if not torch.isfinite(torch.tensor(loss)):
            raise FloatingPointError(
                f"the loss is {loss} after {len(losses)} steps: training diverged; "
                "choose a smaller learning rate"
            )
        losses.append(loss)
        advance(loss)
    return losses
