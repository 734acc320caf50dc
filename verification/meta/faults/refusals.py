"""Faults in what a layer accepts, and in what it does before it refuses."""

import torch

from scratch_layers import (
    SGD,
    Conv2d,
    ConvTranspose2d,
    MSELoss,
    NearestUpsampling,
    ReLU,
    Sequential,
    Sigmoid,
)
from verification.meta.faults.fault import fault


@fault("Conv2d", "declared_refusals", shown="an argument of 1.5, or True")
class TruncatesEveryNumber(Conv2d):
    """Makes ints of floats and bools."""

    def __init__(self, *args, **kwargs):
        whole = {
            n: int(v) if isinstance(v, (float, bool)) and v == v else v for n, v in kwargs.items()
        }
        super().__init__(*args, **whole | {"bias": kwargs["bias"]})


@fault("NearestUpsampling", "declared_refusals", shown="a negative scale")
class TakesTheScalesSize(NearestUpsampling):
    """Drops the sign of a scale."""

    def __init__(self, scale_factor):
        super().__init__(abs(scale_factor) if isinstance(scale_factor, float) else scale_factor)


@fault("Sequential", "declared_refusals", shown="a layer that comes twice")
class TakesALayerOnce(Sequential):
    """Leaves out a layer that is there already, without a word."""

    def __init__(self, *modules):
        super().__init__(*dict.fromkeys(modules))


@fault("MSELoss", "declared_refusals", shown="a target of another shape")
class BroadcastsTheTarget(MSELoss):
    """Compares every sample with one target."""

    def forward(self, input, target):
        return super().forward(*torch.broadcast_tensors(input, target))


@fault("SGD", "declared_refusals", shown="a momentum that is no number, or negative")
class FailsWithoutAWord(SGD):
    """Checks with a bare assertion."""

    def __init__(self, params, lr, momentum=0.0):
        assert isinstance(momentum, float)
        assert 0 <= momentum < float("inf")
        super().__init__(params, lr, momentum)


@fault("Conv2d", "bad_inputs_are_refused", shown="an input of another dtype")
class ConvertsTheInput(Conv2d):
    """Computes in the parameters' dtype whatever it is given."""

    def forward(self, input):
        return super().forward(torch.as_tensor(input).to(self.weight.data.dtype))


@fault("MSELoss", "bad_inputs_are_refused", shown="a target of another shape, dtype or kind")
class DoesNotLookAtTheTarget(MSELoss):
    """Leaves the complaint to whatever operation fails first."""

    def forward(self, input, target):
        return super().forward(input, input - (input - target))


@fault("Sigmoid", "bad_inputs_are_refused", shown="an integer input")
class TakesIntegers(Sigmoid):
    """Promotes integers, as torch.sigmoid does."""

    def forward(self, input):
        exact = isinstance(input, torch.Tensor) and not input.is_floating_point()
        return super().forward(input.float() if exact else input)


@fault("ReLU", "bad_inputs_are_refused", shown="a sparse input")
class MakesItDense(ReLU):
    """Computes on a tensor of another layout, whose gradient would be dense."""

    def forward(self, input):
        return super().forward(input.to_dense() if input.is_sparse else input)


@fault("ReLU", "bad_cotangents_are_refused", shown="a cotangent of no axes")
class BroadcastsTheCotangent(ReLU):
    """Spreads a smaller cotangent over the output."""

    def backward(self, grad_output):
        if isinstance(grad_output, torch.Tensor) and grad_output.dim() == 0:
            grad_output = grad_output.expand(self._record.output_shape)
        return super().backward(grad_output)


@fault("ConvTranspose2d", "bad_cotangents_are_refused", shown="a bad cotangent after a good one")
class ZeroesBeforeItLooks(ConvTranspose2d):
    """Has lost its gradients by the time it refuses."""

    def backward(self, grad_output):
        kept = [p.grad.clone() for p in self.parameters()]
        self.zero_grad()
        gradient = super().backward(grad_output)
        for parameter, old in zip(self.parameters(), kept, strict=True):
            parameter.grad.add_(old)
        return gradient


@fault(
    "SGD",
    "steps_that_do_not_fit_are_refused",
    shown="a gradient of another shape that broadcasts, or of another dtype",
)
class DoesNotLookAtTheGradient(SGD):
    """Adds whatever gradient there is, one parameter after the other."""

    def step(self):
        for factor, parameter in zip(self._factors, self.params, strict=True):
            factor.mul_(self.momentum).add_(parameter.grad.detach(), alpha=self.lr)
            parameter.data.sub_(factor)


@fault("SGD", "steps_that_do_not_fit_are_refused", shown="zero_grad, with two parameters")
class ZeroesTheFirstGradient(SGD):
    """Returns from within the loop."""

    def zero_grad(self):
        for parameter in self.params:
            parameter.zero_grad()
            return
