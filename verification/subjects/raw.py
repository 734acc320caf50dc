"""A hand-written layer as its user calls it: nothing is zeroed, copied or rebound on the way.

Only the properties of the contract need it; every other one goes through the subject protocol.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gradcheck.subjects import Subject
from gradcheck.subjects.held_parameters import Holder, Pair, find_parameters


class RawLayer:
    """The layer inside a subject, with its parameters by name and the arguments of its backward.

    Raises:
        TypeError: the subject wraps no hand-written layer.
    """

    def __init__(self, subject: Subject) -> None:
        if not hasattr(subject, "layer"):
            raise TypeError(f"{subject.name} is no hand-written layer: it has no raw calls")
        self.layer: Any = subject.layer
        self.held: dict[str, Holder | Pair] = {p.name: p for p in find_parameters(self.layer)}

    @property
    def cotangent_names(self) -> tuple[str, ...]:
        """What its backward calls its arguments."""
        return tuple(inspect.signature(self.layer.backward).parameters)

    @property
    def rebinds(self) -> bool:
        """Whether every parameter can be bound to another tensor; a pair can only be written to."""
        return not any(isinstance(parameter, Pair) for parameter in self.held.values())

    def set_parameters(self, values: Mapping[str, Tensor]) -> None:
        """Let the layer use these values."""
        for name, value in values.items():
            self.held[name].rebind(value)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The layer's output."""
        output: Tensor = self.layer.forward(*inputs.values())
        return output

    def backward(self, cotangents: Mapping[str, Tensor]) -> Tensor:
        """The gradient of the input; the parameters' gradients are added to their buffers."""
        gradient: Tensor = self.layer.backward(*cotangents.values())
        return gradient

    def tensors(self) -> dict[str, Tensor]:
        """The parameters and gradients that the layer holds, by name."""
        values = {name: parameter.value for name, parameter in self.held.items()}
        gradients = {
            f"{name} gradient": parameter.gradient for name, parameter in self.held.items()
        }
        return values | {name: buffer for name, buffer in gradients.items() if buffer is not None}
