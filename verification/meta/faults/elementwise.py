"""Activations, losses and upsampling that compute something else."""

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


@fault("ReLU", "gradients_match_reference", "results_are_exact_on_integers")
class SlopeOneAtZero(ReLU):
    """Takes the other derivative at 0."""

    def pullback(self, x, dy):
        return dy.masked_fill(x < 0, 0)


@fault("ReLU", *GRADIENTS, "backward_is_linear_in_cotangent")
class MasksByTheCotangent(ReLU):
    """Takes the mask from the gradient's sign."""

    def pullback(self, x, dy):
        return dy.clamp(min=0)


@fault("Sigmoid", "gradients_match_reference", seen="#195681")
class CollapsesFarOut(Sigmoid):
    """Computes the derivative as y (1 - y), where 1 - y has no digits left."""

    def pullback(self, x, dy):
        y = self.function(x)
        return dy * y * (1 - y)


@fault("Sigmoid", "gradients_match_reference", seen="snntorch #427")
class OverflowsFarOut(Sigmoid):
    """Computes exp(-x), which overflows for large negative x."""

    def pullback(self, x, dy):
        z = torch.exp(-x)
        return dy * z / (1 + z) ** 2


@fault("MSELoss", "forward_matches_reference", seen="#11149")
class MeanBecameSum(MSELoss):
    """Sums where the mean is asked for."""

    def forward(self, input, target):
        loss = super().forward(input, target)
        return loss * input.numel() if self.reduction == "mean" else loss


@fault("MSELoss", *GRADIENTS)
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


@fault("NearestUpsampling", *GRADIENTS, "input_gradient_is_adjoint", seen="#97135")
class RoundsTheScale(NearestUpsampling):
    """Sums blocks of round(scale) pixels, as the report's backward does."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        summed = grad_output
        for axis, scale in zip((2, 3), self.scale_factor, strict=True):
            index = torch.arange(grad_output.shape[axis]) // max(1, round(scale))
            summed = sum_by_index(summed, axis, index.clamp(max=dx.shape[axis] - 1), dx.shape[axis])
        return summed


@fault("NearestUpsampling", *GRADIENTS, "input_gradient_is_adjoint", seen="#38985")
class SendsTheGradientToTheSamePlace(NearestUpsampling):
    """Below scale 1, gives output pixel i's gradient to input pixel i."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        if max(self.scale_factor) >= 1:
            return dx
        wrong = torch.zeros_like(dx)
        wrong[:, :, : grad_output.shape[2], : grad_output.shape[3]] = grad_output
        return wrong


@fault("Upsampling", *GRADIENTS, "input_gradient_is_adjoint")
class AveragesTheCopies(Upsampling):
    """Divides the input gradient by the number of copies of a pixel."""

    def backward(self, grad_output):
        rows, columns = self.nearest.scale_factor
        return super().backward(grad_output) / max(1, rows * columns)


@fault("Sequential", *GRADIENTS)
class SkipsAFirstActivation(Sequential):
    """Returns the gradient that arrives at the first layer, if that one changes no shape."""

    def backward(self, grad_output):
        _, gradient = self._recall(grad_output)
        for i, layer in reversed(list(enumerate(self.layers))):
            inner = layer.backward(gradient)
            gradient = gradient if i == 0 and isinstance(layer, Activation) else inner
        return gradient.clone()
