"""Faults in what a layer keeps from one call to the next, and in the order of calls it allows."""

import torch

from scratch_layers import (
    Conv2d,
    ConvTranspose2d,
    MSELoss,
    NearestUpsampling,
    ReLU,
    Sequential,
    Sigmoid,
    Upsampling,
)
from verification.meta.faults.fault import fault


@fault("NearestUpsampling", "latest_forward_counts", shown="a second call of another shape")
class KeepsTheFirstGeometry(NearestUpsampling):
    """Computes the source indices at the first call and uses them ever after."""

    def _sources(self, x):
        if not hasattr(self, "_kept"):
            self._kept = super()._sources(x)
        return self._kept


@fault("ReLU", "latest_forward_counts", shown="a second call of one shape with other signs")
class KeepsAMaskForEveryShape(ReLU):
    """Right at the first call of every shape; later ones use that call's mask."""

    def pullback(self, x, dy):
        self._masks = getattr(self, "_masks", {})
        return dy.masked_fill(self._masks.setdefault(x.shape, x <= 0), 0)


@fault("MSELoss", "latest_forward_counts", shown="a second call")
class AddsToTheLastLoss(MSELoss):
    """Keeps a running sum that a new forward does not reset."""

    def forward(self, input, target):
        self._sum = getattr(self, "_sum", 0) + super().forward(input, target)
        return self._sum


@fault("Conv2d", "latest_forward_counts", shown="a second call of one shape")
class KeepsARecordForEveryShape(Conv2d):
    """Right at the first call of every shape; after a later one, backward has that call's data."""

    def forward(self, input):
        output = super().forward(input)
        self._records = getattr(self, "_records", {})
        self._record = self._records.setdefault(output.shape, self._record)
        return output


@fault("Conv2d", "gradients_accumulate", shown="two backwards")
class OverwritesTheGradients(Conv2d):
    """Writes this call's gradients in the place of the sum."""

    def backward(self, grad_output):
        self.zero_grad()
        return super().backward(grad_output)


@fault(
    "ConvTranspose2d",
    "gradients_accumulate",
    shown="zero_grad, then forward",
)
class ZeroGradZeroesTheWeight(ConvTranspose2d):
    """Zeroes a parameter with its gradient."""

    def zero_grad(self):
        super().zero_grad()
        self.weight.data.zero_()


@fault("Sequential", "changed_data_is_refused", shown="a weight of an early layer")
class LeavesTheRefusalToTheLayers(Sequential):
    """Has added to the last layers' gradients by the time an early one refuses."""

    def require_ready(self):
        if self._record is None:
            raise RuntimeError("call forward first")
        return self._record


@fault("Conv2d", "zero_grad_fits_the_data", shown="zero_grad, by who holds the gradient")
class ZeroGradMakesAnother(Conv2d):
    """Gives every parameter a new gradient; whoever holds the old one sees it grow stale."""

    def zero_grad(self):
        for parameter in self.parameters():
            parameter.grad = torch.zeros_like(parameter.data)


@fault("ConvTranspose2d", "zero_grad_fits_the_data", shown="a parameter rebound to another dtype")
class ZeroGradKeepsTheDtype(ConvTranspose2d):
    """Zeroes the gradient that is there, whether or not it fits."""

    def zero_grad(self):
        for parameter in self.parameters():
            parameter.grad.zero_()


@fault("Upsampling", "zero_grad_fits_the_data", shown="param")
class ShowsGradientsFirst(Upsampling):
    """Has its pairs the other way round."""

    def param(self):
        return [(gradient, value) for value, gradient in super().param()]


@fault("Upsampling", "gradients_accumulate", shown="zero_grad between two backwards, and a bias")
class ZeroGradForgetsTheBias(Upsampling):
    """Zeroes the first parameter's gradient only."""

    def zero_grad(self):
        self.weight.zero_grad()


@fault(
    "Conv2d", "changed_data_is_refused", shown="a weight written to between forward and backward"
)
class DoesNotWatchTheWeight(Conv2d):
    """Refuses a changed input, and differentiates with a changed weight."""

    def require_ready(self):
        if self._record is not None:
            weight = self._record.tensors["weight"]
            self._record.versions["weight"] = weight._version
        return super().require_ready()


@fault(
    "Sigmoid", "changed_data_is_refused", shown="an input written to between forward and backward"
)
class DifferentiatesACopy(Sigmoid):
    """Answers for data that are no longer there."""

    def forward(self, input):
        return super().forward(input.clone())


@fault("ReLU", "backward_needs_a_forward", shown="a backward before any forward")
class PassesTheCotangentThrough(ReLU):
    """Takes a backward before any forward for a backward through nothing."""

    def backward(self, grad_output):
        return grad_output if self._record is None else super().backward(grad_output)


@fault("MSELoss", "backward_needs_a_forward", shown="a backward before any forward")
class FailsInsideBackward(MSELoss):
    """Stumbles over what forward has not set, with an AttributeError that helps nobody."""

    def backward(self):
        self._record.tensors["target"]
        return super().backward()


@fault("Conv2d", "backward_needs_a_forward", shown="a backward before any forward")
class RefusesWithoutAReason(Conv2d):
    """Raises the right class of error and does not say what to do."""

    def backward(self, grad_output):
        if self._record is None:
            raise RuntimeError("invalid state")
        return super().backward(grad_output)


@fault("Conv2d", "parameters_alone_get_the_same", shown="a bias")
class LeavesTheBiasToBackward(Conv2d):
    """Has no gradient for the bias where nobody asks for the input's."""

    def backward_parameters(self, grad_output):
        super().backward_parameters(grad_output)
        if self.bias is not None:
            self.bias.zero_grad()


@fault("Sequential", "parameters_alone_get_the_same", shown="parameters in the first layer")
class LeavesTheFirstLayerOut(Sequential):
    """Takes the first layer's parameters for part of the input."""

    def backward_parameters(self, grad_output):
        _, gradient = self._recall(grad_output)
        for layer in reversed(self.layers[1:]):
            gradient = layer.backward(gradient)
