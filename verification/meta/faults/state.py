"""Faults in how parameters leave a layer and come back, and in what its text shows."""

import copy

import torch

from scratch_layers import (
    SGD,
    Conv2d,
    ConvTranspose2d,
    FusedUpsampling,
    MSELoss,
    NearestUpsampling,
    Sequential,
    Upsampling,
)
from scratch_layers.checks import floating_tensor, same_shape
from verification.meta.faults.fault import fault


@fault("Conv2d", "state_makes_the_same_layer", shown="a state that its owner writes to")
class HandsOutItsOwnTensors(Conv2d):
    """Its state changes with it, as torch.nn's does."""

    def state_dict(self):
        return {name: parameter.data for name, parameter in self.named_parameters()}


@fault("Upsampling", "state_makes_the_same_layer", shown="a state that its owner writes to")
class TakesTheStatesTensors(Upsampling):
    """Shares its parameters with whoever it loaded them from."""

    def load_state_dict(self, state):
        super().load_state_dict(state)
        for name, parameter in self.named_parameters():
            parameter.data = state[name]


@fault("Conv2d", "bad_states_are_refused", shown="a state whose last entry is wrong")
class CopiesBeforeItLooks(Conv2d):
    """Has loaded the first entries by the time it finds the last one wrong."""

    def load_state_dict(self, state):
        for name, parameter in self.named_parameters():
            if (
                isinstance(state.get(name), torch.Tensor)
                and state[name].shape == parameter.data.shape
            ):
                parameter.data = state[name].clone().to(parameter.data.dtype)
        super().load_state_dict(state)


@fault("Sequential", "bad_states_are_refused", shown="a state with an entry too many")
class IgnoresWhatItDoesNotKnow(Sequential):
    """Loads what fits and is silent about the rest."""

    def load_state_dict(self, state):
        known = dict(self.named_parameters())
        super().load_state_dict({name: value for name, value in state.items() if name in known})


@fault(
    "ConvTranspose2d", "weights_travel_to_torch_and_back", shown="a kernel that is not symmetric"
)
class StoresTheKernelFlipped(ConvTranspose2d):
    """Understands its own state, and nobody else's."""

    def state_dict(self):
        state = super().state_dict()
        return state | {"weight": state["weight"].flip(2, 3)}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.weight.data.copy_(state["weight"].flip(2, 3))


@fault("Conv2d", "weights_travel_to_torch_and_back", shown="any state")
class StoresFlatWeights(Conv2d):
    """Keeps the weight as the matrix that it multiplies by."""

    def state_dict(self):
        state = super().state_dict()
        return state | {"weight": state["weight"].flatten(1)}

    def load_state_dict(self, state):
        shape = self.weight.data.shape
        super().load_state_dict(state | {"weight": state["weight"].reshape(shape)})


@fault("Conv2d", "moving_keeps_the_numbers", shown="gradients that are not zero")
class ForgetsTheGradients(Conv2d):
    """Starts anew in the other dtype."""

    def to(self, device=None, dtype=None):
        super().to(device, dtype)
        for parameter in self.parameters():
            parameter.grad = torch.zeros_like(parameter.data)
        return self


@fault("NearestUpsampling", "moving_keeps_the_numbers", shown="any move")
class MovesACopy(NearestUpsampling):
    """Returns another layer and stays where it is, as a tensor's to() does."""

    def to(self, device=None, dtype=None):
        return super(MovesACopy, copy.copy(self)).to(device, dtype)


@fault("ConvTranspose2d", "moving_keeps_the_numbers", shown="a bias")
class LeavesTheBiasBehind(ConvTranspose2d):
    """Moves the parameters that it thinks of."""

    def to(self, device=None, dtype=None):
        bias, self.bias = self.bias, None
        super().to(device, dtype)
        self.bias = bias
        return self


@fault("Conv2d", "moving_keeps_the_numbers", shown="a move to integers")
class MovesToIntegers(Conv2d):
    """Takes any dtype."""

    def to(self, device=None, dtype=None):
        for parameter in self.parameters():
            parameter.data = parameter.data.to(device, dtype)
            parameter.grad = parameter.grad.to(device, dtype)
        self._record = None
        return self


@fault("ConvTranspose2d", "bad_states_are_refused", shown="a parameter that is expanded")
class LeavesTheRefusalToTorch(ConvTranspose2d):
    """Copies without a look; torch's error names no parameter."""

    def load_state_dict(self, state):
        if state.keys() != dict(self.named_parameters()).keys():
            super().load_state_dict(state)
        for name, parameter in self.named_parameters():
            value = floating_tensor(name, state[name])
            same_shape(name, value, parameter.data.shape, "the parameter's shape")
            parameter.data.copy_(value)


@fault("Upsampling", "text_shows_the_architecture", shown="dilation > 1")
class HidesTheDilation(Upsampling):
    """Shows what torch's oldest layers had."""

    def __repr__(self):
        shown, _, rest = super().__repr__().partition("dilation=")
        return shown + rest.partition("), ")[2]


@fault("Sequential", "text_shows_the_architecture", shown="any two instances")
class ShowsItsAddress(Sequential):
    """Has Python's own text, which is another one for every instance."""

    __repr__ = object.__repr__


@fault("Conv2d", "fresh_layers_start_as_torchs", shown="in_channels and out_channels that differ")
class CountsTheOutputs(Conv2d):
    """Scales its first weights by the fan of the outputs."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.weight.data.mul_((self.in_channels / self.out_channels) ** 0.5)


@fault("ConvTranspose2d", "fresh_layers_start_as_torchs", shown="a bias")
class StartsWithoutABias(ConvTranspose2d):
    """Begins with a bias of zeros."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        if self.bias is not None:
            self.bias.data.zero_()


@fault("Conv2d", "arguments_left_out_are_torchs", shown="stride 1, kernel above 1")
class StridesAsItsKernel(Conv2d):
    """Takes a stride that nobody named for the kernel's size, as pooling does."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=None, **options):
        super().__init__(in_channels, out_channels, kernel_size, stride or kernel_size, **options)


@fault("Upsampling", "arguments_left_out_are_torchs", shown="padding 0, a kernel above 1")
class PadsUnlessAsked(Upsampling):
    """Keeps the size where nobody asks for that."""

    def __init__(self, *arguments, padding="same", **options):
        super().__init__(*arguments, padding=padding, **options)


@fault("FusedUpsampling", "arguments_left_out_are_torchs", shown="a bias that nobody names")
class HasNoBiasUnlessAsked(FusedUpsampling):
    """Has the default of layers before a norm."""

    def __init__(self, *arguments, bias=False, **options):
        super().__init__(*arguments, bias=bias, **options)


@fault("MSELoss", "arguments_left_out_are_torchs", shown="reduction 'mean'")
class SumsUnlessAsked(MSELoss):
    """Has the other default."""

    def __init__(self, reduction="sum"):
        super().__init__(reduction)


@fault("SGD", "arguments_left_out_are_torchs", shown="momentum 0")
class HasMomentumUnlessAsked(SGD):
    """Has the default that its author always wanted."""

    def __init__(self, params, lr, momentum=0.9):
        super().__init__(params, lr, momentum)
