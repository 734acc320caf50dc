"""Activations, losses and upsampling that compute something else."""

import math

import torch

from scratch_layers import (
    Activation,
    MSELoss,
    NearestUpsampling,
    ReLU,
    Sequential,
    Sigmoid,
    Upsampling,
)
from verification.meta.faults.fault import fault

GRADIENTS = ("gradients_match_reference", "gradients_match_finite_differences")


@fault(
    "ReLU",
    "gradients_match_reference",
    "results_are_exact_on_integers",
    shown="a zero in the input",
)
class SlopeOneAtZero(ReLU):
    """Takes the other derivative at 0."""

    def pullback(self, x, dy):
        return dy.masked_fill(x < 0, 0)


@fault("ReLU", *GRADIENTS, "backward_is_linear_in_cotangent", shown="a cotangent of both signs")
class MasksByTheCotangent(ReLU):
    """Takes the mask from the gradient's sign."""

    def pullback(self, x, dy):
        return dy.clamp(min=0)


@fault("Sigmoid", "gradients_match_reference", seen="#195681", shown="an input beyond 17")
class CollapsesFarOut(Sigmoid):
    """Computes the derivative as y (1 - y), where 1 - y has no digits left."""

    def pullback(self, x, dy):
        y = self.function(x)
        return dy * y * (1 - y)


@fault("Sigmoid", "gradients_match_reference", seen="snntorch #427", shown="an input below -89")
class OverflowsFarOut(Sigmoid):
    """Computes exp(-x), which overflows for large negative x."""

    def pullback(self, x, dy):
        z = torch.exp(-x)
        return dy * z / (1 + z) ** 2


@fault(
    "MSELoss", "forward_matches_reference", seen="#11149", shown="reduction 'mean', two elements"
)
class MeanBecameSum(MSELoss):
    """Sums where the mean is asked for."""

    def forward(self, input, target):
        loss = super().forward(input, target)
        return loss * input.numel() if self.reduction == "mean" else loss


@fault("MSELoss", *GRADIENTS, shown="reduction 'mean', two elements a sample")
class DividesByTheFirstAxis(MSELoss):
    """Divides the gradient by the batch instead of the number of elements."""

    def backward(self):
        gradient = super().backward()
        count = gradient.numel() // max(1, len(gradient))
        return gradient * count if self.reduction == "mean" else gradient


def sum_by_index(dy, axis, index, size):
    """The cotangent summed over the places that share a source."""
    shape = list(dy.shape)
    shape[axis] = size
    return dy.new_zeros(shape).index_add_(axis, index, dy)


@fault(
    "NearestUpsampling",
    *GRADIENTS,
    "input_gradient_is_adjoint",
    seen="#97135",
    shown="a fractional scale (1.25)",
)
class RoundsTheScale(NearestUpsampling):
    """Sums blocks of round(scale) pixels, as the report's backward does."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        summed = grad_output
        for axis, scale in zip((2, 3), self.scale_factor, strict=True):
            index = torch.arange(grad_output.shape[axis]) // max(1, round(scale))
            summed = sum_by_index(summed, axis, index.clamp(max=dx.shape[axis] - 1), dx.shape[axis])
        return summed


@fault(
    "NearestUpsampling",
    *GRADIENTS,
    "input_gradient_is_adjoint",
    seen="#38985",
    shown="both scales below 1",
)
class SendsTheGradientToTheSamePlace(NearestUpsampling):
    """Below scale 1, gives output pixel i's gradient to input pixel i."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        if max(self.scale_factor) >= 1:
            return dx
        wrong = torch.zeros_like(dx)
        wrong[:, :, : grad_output.shape[2], : grad_output.shape[3]] = grad_output
        return wrong


@fault(
    "Upsampling", *GRADIENTS, "input_gradient_is_adjoint", shown="scales whose product is above 1"
)
class AveragesTheCopies(Upsampling):
    """Divides the input gradient by the number of copies of a pixel."""

    def backward(self, grad_output):
        rows, columns = self.nearest.scale_factor
        return super().backward(grad_output) / max(1, rows * columns)


@fault(
    "NearestUpsampling",
    *GRADIENTS,
    "input_gradient_is_adjoint",
    seen="#51036",
    shown="a fractional scale (45 to 14 rows, 18 to 24 columns)",
)
class SumsAFixedNumberOfCopies(NearestUpsampling):
    """Sums ceil(scale) rows from the first copy on, past the last one and past the end."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        if self._whole:
            return dx
        rows, scale = torch.zeros_like(dx), self.scale_factor[0]
        across = sum_by_index(grad_output, 3, self._sources(dx)[1].sources, dx.shape[3])
        for p in range(dx.shape[2]):
            first = math.ceil(p * scale)
            rows[:, :, p] = across[:, :, first : first + math.ceil(scale)].sum(2)
        return rows


@fault(
    "NearestUpsampling",
    "forward_matches_reference",
    seen="#62237",
    shown="a scale of which i / s comes close to a whole number (1.00001)",
)
class DividesInDouble(NearestUpsampling):
    """Finds the source by i / scale in float64, where the contract says float32."""

    def forward(self, input):
        super().forward(input)
        height, width = self.output_size(input)
        rows, columns = self.scale_factor
        rows = (torch.arange(height, dtype=torch.float64) / rows).long()
        columns = (torch.arange(width, dtype=torch.float64) / columns).long()
        rows, columns = rows.clamp(max=input.shape[2] - 1), columns.clamp(max=input.shape[3] - 1)
        return input.detach()[:, :, rows][:, :, :, columns]


@fault(
    "NearestUpsampling",
    "forward_matches_reference",
    seen="#96236",
    shown="a size and scale whose product comes close to a whole number (11 x 120/88)",
)
class MultipliesTheSizeInFloat32(NearestUpsampling):
    """Computes the output size in float32, where 88 (120 / 88) is not 120 for ever."""

    def output_size(self, input):
        super().output_size(input)
        sizes = torch.tensor(input.shape[2:]) * torch.tensor(self.scale_factor, dtype=torch.float32)
        return tuple(sizes.floor().int().tolist())


@fault(
    "NearestUpsampling",
    "forward_matches_reference",
    "results_are_exact_on_integers",
    shown="a fractional scale, or one below 1",
)
class TakesThePixelsCentre(NearestUpsampling):
    """Takes the source below the centre of an output pixel, as torch's nearest-exact does."""

    def forward(self, input):
        output = super().forward(input)
        index = ((torch.arange(output.shape[2]) + 0.5) / self.scale_factor[0]).long()
        columns = self._sources(input)[1].sources
        return input.detach()[:, :, index.clamp(max=input.shape[2] - 1)][:, :, :, columns]


@fault("MSELoss", *GRADIENTS, shown="any input")
class ForgetsTheTwo(MSELoss):
    """Differentiates the square to the difference."""

    def backward(self):
        return super().backward() / 2


@fault(
    "MSELoss",
    "dtype_and_device_are_kept",
    seen="#91597",
    shown="float16, reduction 'mean', a sum of squares beyond 65504",
)
class SumsInSixteenBits(MSELoss):
    """Sums 16-bit squares in 16 bits, where they overflow before the mean divides them."""

    def forward(self, input, target):
        loss = super().forward(input, target)
        if input.dtype != torch.float16:
            return loss
        total = (input - target).detach().square().sum()
        return total / input.numel() if self.reduction == "mean" else total


@fault("Sequential", *GRADIENTS, shown="an activation first")
class SkipsAFirstActivation(Sequential):
    """Returns the gradient that arrives at the first layer, if that one changes no shape."""

    def backward(self, grad_output):
        _, gradient = self._recall(grad_output)
        for i, layer in reversed(list(enumerate(self.layers))):
            inner = layer.backward(gradient)
            gradient = gradient if i == 0 and isinstance(layer, Activation) else inner
        return gradient.clone()


@fault("Sequential", *GRADIENTS, shown="three layers, ReLU last")
class LeavesOutTheLastLayerOfThree(Sequential):
    """Begins its backward one layer too early when there are more than two."""

    def backward(self, grad_output):
        _, gradient = self._recall(grad_output)
        start = len(self.layers) - (len(self.layers) > 2 and isinstance(self.layers[-1], ReLU))
        for layer in reversed(self.layers[:start]):
            gradient = layer.backward(gradient)
        return gradient.clone()
