"""Faults in the dtype and on the device that a layer works in."""

import torch

from scratch_layers import Conv2d, ConvTranspose2d, MSELoss, NearestUpsampling, Sigmoid
from verification.meta.faults.fault import fault
from verification.meta.harness import broken
from verification.subjects.entry import Entry


@fault("Sigmoid", "dtype_and_device_are_kept", shown="a 16-bit input")
class ReturnsWhatItComputedIn(Sigmoid):
    """Computes 16-bit inputs in float32 and forgets to go back."""

    def forward(self, input):
        output = super().forward(input)
        wide = torch.promote_types(input.dtype, torch.float32)
        return output if wide == input.dtype else output.to(wide)


@fault("MSELoss", "dtype_and_device_are_kept", shown="float64, or 16 bits")
class ReturnsANewNumber(MSELoss):
    """Passes its loss through Python, where it loses dtype and device."""

    def forward(self, input, target):
        return torch.tensor(super().forward(input, target).item())


@fault("ConvTranspose2d", "dtype_and_device_are_kept", shown="16 bits")
class AccumulatesInFloat32(ConvTranspose2d):
    """Replaces a 16-bit gradient by a wider one."""

    def backward(self, grad_output):
        gradient = super().backward(grad_output)
        self.weight.grad = self.weight.grad.to(torch.promote_types(gradient.dtype, torch.float32))
        return gradient


class MakesItsZerosOnTheHost(Conv2d):
    """Adds a tensor that was made without a device: seen on an accelerator only."""

    def backward(self, grad_output):
        return super().backward(grad_output) + torch.zeros(1, 1, 1)


class ComputesIndicesOnTheHost(NearestUpsampling):
    """Forgets the device of its index: seen on an accelerator only."""

    def _sources(self, x):
        return super()._sources(x.cpu())


ON_AN_ACCELERATOR = {
    "MakesItsZerosOnTheHost": ("Conv2d", MakesItsZerosOnTheHost),
    "ComputesIndicesOnTheHost": ("NearestUpsampling", ComputesIndicesOnTheHost),
}
"""Faults that the CPU does not show, by name: the kind, and the class."""


def on_an_accelerator(name: str) -> Entry:
    """The entry of one of them; a child process finds this function by its name."""
    return broken(*ON_AN_ACCELERATOR[name])
