"""Layers that read, write or hand out memory that they should not."""

import torch

from scratch_layers import (
    SGD,
    Conv2d,
    ConvTranspose2d,
    NearestUpsampling,
    ReLU,
    Sigmoid,
)
from verification.meta.faults.fault import fault


def misread(tensor):
    """A tensor's memory read in order, whatever its strides; elements that repeat are left."""
    if 0 in tensor.stride():
        return tensor
    strides = torch.empty(tensor.shape).stride()
    return tensor.as_strided(tensor.shape, strides, tensor.storage_offset())


@fault(
    "Conv2d",
    "layouts_change_nothing",
    seen="#1246",
    shown="a weight that is not contiguous (sliced ::2)",
)
class ReadsTheWeightInOrder(Conv2d):
    """Takes the weight's memory for contiguous."""

    def forward(self, input):
        self.weight.data = misread(self.weight.data)
        return super().forward(input)


@fault(
    "ConvTranspose2d",
    "layouts_change_nothing",
    seen="#708",
    shown="a cotangent that is not contiguous",
)
class ReadsTheCotangentInOrder(ConvTranspose2d):
    """Takes the cotangent's memory for contiguous."""

    def backward(self, grad_output):
        return super().backward(misread(grad_output))


@fault(
    "Conv2d",
    "layouts_change_nothing",
    seen="#82060",
    shown="one input channel and a channels_last weight",
)
class TakesOneChannelForChannelsLast(Conv2d):
    """With one input channel, takes the strides that both layouts share for a transposed image."""

    def forward(self, input):
        weight = self.weight.data
        if weight.shape[1] == 1 and weight.stride(1) == 1 and weight.shape[2:].numel() > 1:
            self.weight.data = weight.flip(2, 3)
        return super().forward(input)


@fault("ReLU", "tensors_are_left_alone", shown="a negative input")
class WorksInPlace(ReLU):
    """Rectifies the input itself."""

    def function(self, x):
        return x.clamp_(min=0)


@fault("Sigmoid", "tensors_are_left_alone", shown="a cotangent without stride 0")
class ScalesTheCotangentInPlace(Sigmoid):
    """Multiplies the cotangent itself where it can."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        if 0 not in grad_output.stride():
            grad_output *= 2
        return dx


@fault("Conv2d", "tensors_are_left_alone", shown="a cotangent with memory behind it")
class WritesOneBeyondTheCotangent(Conv2d):
    """Pads the cotangent with a zero, in memory that is not its own."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        end = grad_output.storage_offset() + sum(
            (n - 1) * s for n, s in zip(grad_output.shape, grad_output.stride(), strict=True)
        )
        grad_output.as_strided((1,), (1,), end + 1).zero_()
        return dx


@fault("SGD", "tensors_are_left_alone", seen="#12218", shown="any step")
class DecaysIntoTheGradient(SGD):
    """Adds the weight decay to the gradient itself."""

    def step(self):
        for parameter in self.params:
            if 0 not in parameter.grad.stride():
                parameter.grad.add_(parameter.data, alpha=2.0**-10)
        super().step()


@fault("SGD", "tensors_are_left_alone", shown="two steps")
class KeepsTheGradientAsItsMomentum(SGD):
    """Starts the momentum as the first gradient itself and adds the later ones to it."""

    def step(self):
        super().step()
        for i, parameter in enumerate(self.params):
            kept = vars(self).setdefault("_kept", {}).setdefault(i, parameter.grad)
            if kept is not parameter.grad and 0 not in kept.stride():
                kept += parameter.grad


@fault("ReLU", "results_are_fresh", shown="an input without negative numbers")
class ReturnsAPositiveInput(ReLU):
    """Returns the input itself where there is nothing to rectify."""

    def forward(self, input):
        output = super().forward(input)
        return input if bool((input >= 0).all()) else output


@fault("NearestUpsampling", "results_are_fresh", shown="scale 1")
class ReturnsTheInputAtScaleOne(NearestUpsampling):
    """Returns the input itself where no pixel is copied."""

    def forward(self, input):
        output = super().forward(input)
        return input if output.shape == input.shape else output


@fault("NearestUpsampling", "results_are_fresh", shown="one row")
class RepeatsASingleRow(NearestUpsampling):
    """Lets all output rows of a one-row image be one row in memory."""

    def forward(self, input):
        output = super().forward(input)
        return output[:, :, :1].expand(output.shape) if input.shape[2] == 1 else output


@fault("Sigmoid", "results_are_independent", shown="an output that its owner writes to")
class ReliesOnItsOutput(Sigmoid):
    """Computes the derivative from the output that the caller has."""

    def forward(self, input):
        self._output = super().forward(input)
        return self._output

    def pullback(self, x, dy):
        return dy * self._output * (1 - self._output)


@fault("Conv2d", "results_are_independent", shown="two calls of one shape")
class WritesToOneBuffer(Conv2d):
    """Writes outputs of one shape to the same memory."""

    def forward(self, input):
        output = super().forward(input)
        buffers = vars(self).setdefault("_buffers", {})
        return buffers.setdefault(output.shape, torch.empty_like(output)).copy_(output)


@fault("ReLU", "results_are_independent", shown="two backwards of one shape")
class HandsOutOneGradient(ReLU):
    """Writes gradients of one shape to the same memory."""

    def backward(self, grad_output):
        gradient = super().backward(grad_output)
        buffers = vars(self).setdefault("_buffers", {})
        return buffers.setdefault(gradient.shape, torch.empty_like(gradient)).copy_(gradient)
