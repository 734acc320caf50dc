"""Is a derivative right? A gradient checker whose every verdict rests on a bound."""

from gradcheck.check import check_gradients
from gradcheck.classes import Estimate, Kind
from gradcheck.noise import noise_level
from gradcheck.numerical import jacobian
from gradcheck.report import GradientError, GradientReport, Mismatch, TensorReport
from gradcheck.second_order import check_second_order
from gradcheck.stencils import Stencil, central, forward, stencil
from gradcheck.subjects import (
    AutogradFunctionSubject,
    FunctionSubject,
    LayerSubject,
    ModuleSubject,
    Subject,
)

__all__ = [
    "AutogradFunctionSubject",
    "Estimate",
    "FunctionSubject",
    "GradientError",
    "GradientReport",
    "Kind",
    "LayerSubject",
    "Mismatch",
    "ModuleSubject",
    "Stencil",
    "Subject",
    "TensorReport",
    "central",
    "check_gradients",
    "check_second_order",
    "forward",
    "jacobian",
    "noise_level",
    "stencil",
]
