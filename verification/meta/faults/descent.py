"""Optimisers that go another way."""

import torch

from scratch_layers import SGD
from verification.meta.faults.fault import fault

FORWARD = ("forward_matches_reference", "results_are_exact_on_integers")


@fault("SGD", *FORWARD, seen="pytorch_optimizer #516", shown="momentum > 0 and two steps")
class ForgetsItsMomentum(SGD):
    """Starts every step with a momentum of 0."""

    def step(self):
        for factor in self._factors:
            factor.zero_()
        super().step()


@fault("SGD", *FORWARD, shown="momentum > 0")
class BeginsWithMomentum(SGD):
    """Takes the first gradient for an earlier one too: (1 + momentum) g in the first step."""

    def step(self):
        if not hasattr(self, "_begun"):
            self._begun = True
            for factor, parameter in zip(self._factors, self.params, strict=True):
                factor.copy_(parameter.grad.detach() * self.lr)
        super().step()


@fault("SGD", *FORWARD, shown="momentum > 0 and a rate that changes")
class AppliesTheRateOutside(SGD):
    """Multiplies the whole momentum by the rate of the step, as torch.optim.SGD does."""

    def step(self):
        nothing = [torch.zeros_like(parameter.data) for parameter in self.params]
        velocities = vars(self).setdefault("_velocities", nothing)
        for velocity, parameter in zip(velocities, self.params, strict=True):
            velocity.mul_(self.momentum).add_(parameter.grad.detach())
            parameter.data.sub_(velocity, alpha=self.lr)


@fault("SGD", *FORWARD, shown="any step")
class LooksAhead(SGD):
    """Nesterov's step, which nobody asked for."""

    def step(self):
        super().step()
        for factor, parameter in zip(self._factors, self.params, strict=True):
            correction = (self.momentum - 1) * factor + self.lr * parameter.grad.detach()
            parameter.data.sub_(correction)


@fault("SGD", "forward_matches_reference", shown="two parameters of one shape")
class SharesOneMomentum(SGD):
    """Has one momentum for parameters of one shape."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        shared = {}
        self._factors = [shared.setdefault(f.shape, torch.zeros_like(f)) for f in self._factors]
        self._flat_factors = list(shared.values())

    def step(self):
        for factor in self._flat_factors:
            factor.mul_(self.momentum)
        for factor, parameter in zip(self._factors, self.params, strict=True):
            factor.add_(parameter.grad.detach(), alpha=self.lr)
            parameter.data.sub_(factor)
