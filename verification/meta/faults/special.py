"""Faults that only NaN, infinities or zeros in an input show."""

import torch

from scratch_layers import Conv2d, NearestUpsampling, ReLU, Sigmoid, Upsampling
from verification.meta.faults.fault import fault


@fault("ReLU", "special_values_reach_outputs", seen="#7999", shown="a NaN")
class SwallowsNaN(ReLU):
    """Takes what is not above 0 for 0."""

    def function(self, x):
        return torch.where(x > 0, x, 0)


@fault("Sigmoid", "special_values_reach_outputs", seen="snntorch #427", shown="an infinity")
class DividesInfinities(Sigmoid):
    """exp(x) / (1 + exp(x)), which is inf / inf far out."""

    def function(self, x):
        return x.exp() / (1 + x.exp())


@fault("NearestUpsampling", "special_values_reach_outputs", shown="an infinity")
class MultipliesByZeros(NearestUpsampling):
    """Gathers by a product with a matrix of zeros and ones, where 0 times infinity is NaN."""

    def forward(self, input):
        output = super().forward(input)
        rows, columns = self._sources(input)
        chosen = torch.eye(input.shape[2], dtype=input.dtype)[rows]
        return output.copy_((chosen @ input).index_select(3, columns))


@fault("ReLU", "special_values_reach_gradients", shown="a NaN")
class StopsTheGradientAtNaN(ReLU):
    """Lets the cotangent through where x > 0, and not where nothing is known."""

    def pullback(self, x, dy):
        return torch.where(x > 0, dy, 0)


@fault("Conv2d", "special_values_reach_gradients", shown="a NaN")
class CleansTheWeightGradient(Conv2d):
    """Hides from an optimiser that something went wrong."""

    def backward(self, grad_output):
        gradient = super().backward(grad_output)
        self.weight.grad.nan_to_num_()
        return gradient


@fault(
    "Upsampling",
    "special_values_reach_gradients",
    "special_values_reach_outputs",
    shown="a NaN or an infinity",
)
class SpreadsNaN(Upsampling):
    """Scales by a number computed from all of the input, which is 1 as long as that is finite."""

    def forward(self, input):
        output = super().forward(input)
        self._one = 1 + 0 * input.sum()
        return output.mul_(self._one)

    def backward(self, grad_output):
        return super().backward(grad_output).mul_(self._one)
