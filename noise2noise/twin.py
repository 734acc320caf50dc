"""The same network and the same training in torch.nn, autograd and torch.optim: the reference."""

from typing import Any

import torch
from torch import Tensor, nn

from noise2noise.network import Form


class UpsamplingTwin(nn.Conv2d):
    """Nearest upsampling, then a convolution that owns the only parameters.

    Derived from Conv2d so that its parameters are called `weight` and `bias`, as those of
    `scratch_layers.Upsampling` are, and a state_dict fits both.
    """

    def __init__(self, *arguments: Any, scale_factor: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.upsample = nn.Upsample(scale_factor=scale_factor, mode="nearest")

    def forward(self, input: Tensor) -> Tensor:
        """Upsample, then convolve."""
        return super().forward(self.upsample(input))


def denoiser_twin(form: Form) -> nn.Sequential:
    """Return the network of `network.denoiser`, built from torch.nn."""
    decoder: list[nn.Module]
    if form == "one":
        decoder = [UpsamplingTwin(32, 3, 3, scale_factor=4, padding=1)]
    else:
        decoder = [
            UpsamplingTwin(32, 16, 3, scale_factor=2, padding=1),
            nn.ReLU(),
            UpsamplingTwin(16, 3, 3, scale_factor=2, padding=1),
        ]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        *decoder,
        nn.Sigmoid(),
    )


class TwinTrainer:
    """Trains the twin: `training.ScratchTrainer` with autograd in place of `backward`."""

    def __init__(self, network: nn.Sequential, lr: float, momentum: float) -> None:
        self.network = network
        self.loss = nn.MSELoss()
        # Equal to the report's update while the learning rate is constant: torch multiplies the
        # momentum buffer by the present rate, the report each gradient by its own.
        self.optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=momentum)

    def step(self, noisy: Tensor, target: Tensor) -> float:
        """See `training.Trainer.step`."""
        self.optimizer.zero_grad()
        loss = self.loss(self.network(noisy), target)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def denoise(self, noisy: Tensor) -> Tensor:
        """See `training.Trainer.denoise`."""
        with torch.no_grad():
            return self.network(noisy)  # type: ignore[no-any-return]

    def parameters(self) -> dict[str, Tensor]:
        """See `training.Trainer.parameters`."""
        return {name: parameter.data for name, parameter in self.network.named_parameters()}
