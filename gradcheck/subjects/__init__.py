"""What is judged, under one protocol: functions, modules, hand-written layers, and the like."""

from gradcheck.subjects.layers import LayerSubject
from gradcheck.subjects.own_autograd import (
    AutogradFunctionSubject,
    AutogradSubject,
    FunctionSubject,
    ModuleSubject,
    differentiable,
    pulled_back,
)
from gradcheck.subjects.protocol import OFFERS, Subject, named_outputs
from gradcheck.subjects.recognition import as_subject

__all__ = [
    "OFFERS",
    "AutogradFunctionSubject",
    "AutogradSubject",
    "FunctionSubject",
    "LayerSubject",
    "ModuleSubject",
    "Subject",
    "as_subject",
    "differentiable",
    "named_outputs",
    "pulled_back",
]
