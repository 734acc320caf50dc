"""Is a derivative right? A gradient checker whose every verdict rests on a bound."""

from gradcheck.check import check_gradients
from gradcheck.differences.classes import Estimate, Kind
from gradcheck.differences.noise import noise_level
from gradcheck.differences.numerical import jacobian
from gradcheck.differences.stencils import Stencil, central, forward, stencil
from gradcheck.reporting.report import GradientError, GradientReport, Mismatch, TensorReport
from gradcheck.second_order import check_second_order
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
