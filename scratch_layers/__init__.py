"""Neural-network layers written by hand on plain tensor arithmetic, with their own backward."""

from scratch_layers.activations import Activation, ReLU, Sigmoid
from scratch_layers.convolution import Conv2d, ConvTranspose2d
from scratch_layers.fused_upsampling import FusedUpsampling
from scratch_layers.losses import MSELoss
from scratch_layers.module import Module, Parameter, Sequential
from scratch_layers.optimizers import SGD
from scratch_layers.upsampling import NearestUpsampling, Upsampling

__all__ = [
    "SGD",
    "Activation",
    "Conv2d",
    "ConvTranspose2d",
    "FusedUpsampling",
    "MSELoss",
    "Module",
    "NearestUpsampling",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Upsampling",
]
