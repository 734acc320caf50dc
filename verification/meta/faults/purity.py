"""Faults of layers that let somebody else do the work: a kernel, autograd, or the host."""

import torch
import torch.nn.functional as F

from scratch_layers import SGD, Conv2d, ConvTranspose2d, MSELoss, NearestUpsampling, ReLU, Sigmoid
from verification.meta.faults.fault import fault


@fault("Conv2d", "only_plain_arithmetic", shown="any call, seen at the dispatcher")
class CallsTheKernel(Conv2d):
    """Leaves the forward to torch.nn.functional where it can."""

    def forward(self, input):
        output = super().forward(input)
        if self.padding != "same":
            bias = None if self.bias is None else self.bias.data
            options = self.stride, self.padding, self.dilation, self.groups
            output.copy_(F.conv2d(input, self.weight.data, bias, *options))
        return output


@fault("ReLU", "only_plain_arithmetic", shown="any backward, seen at the dispatcher")
class CountsTheNegatives(ReLU):
    """Writes by a mask, whose ones the host must count before it knows what to write."""

    def pullback(self, x, dy):
        gradient = dy.clone()
        gradient[x <= 0] = 0
        return gradient


@fault("Sigmoid", "only_plain_arithmetic", shown="any forward, seen at the dispatcher")
class LooksAtTheLargest(Sigmoid):
    """Chooses the formula by an element's value, which the host must wait for."""

    def function(self, x):
        if x.numel() and x.max() < 0:
            return 1 - super().function(-x)
        return super().function(x)


@fault("Sigmoid", "works_without_autograd", "no_graph_is_recorded", shown="any backward")
class DifferentiatesByAutograd(Sigmoid):
    """Has no derivative of its own."""

    def pullback(self, x, dy):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            y = torch.sigmoid(x)
        return torch.autograd.grad(y, x, dy, create_graph=True)[0]


@fault("NearestUpsampling", "works_without_autograd", shown="inference mode")
class ReadsTheOutputsVersion(NearestUpsampling):
    """Asks for a counter that tensors made in inference mode do not have."""

    def forward(self, input):
        output = super().forward(input)
        self._seen = output._version
        return output


@fault("ConvTranspose2d", "no_graph_is_recorded", shown="a parameter that requires grad")
class KeepsTheBiassGraph(ConvTranspose2d):
    """Adds the bias once more, times 0, with its history."""

    def forward(self, input):
        output = super().forward(input)
        return output if self.bias is None else output + 0 * self.bias.data.view(-1, 1, 1)


@fault("MSELoss", "no_graph_is_recorded", shown="an input that requires grad")
class KeepsTheInputsGraph(MSELoss):
    """Computes with its input as it came."""

    def forward(self, input, target):
        super().forward(input, target)
        difference = input - target
        squares = difference * difference
        return squares.mean() if self.reduction == "mean" else squares.sum()


@fault("SGD", "no_graph_is_recorded", shown="a gradient that requires grad")
class KeepsTheGradientsGraph(SGD):
    """Lets its momentum hang on the graphs of all gradients so far."""

    def step(self):
        super().step()
        for parameter, factor in zip(self.params, self._factors, strict=True):
            factor.add_(parameter.grad, alpha=0)
