"""Complex tensors as pairs of real ones.

torch's convention for a real L and z = x + i y is the gradient dL/dx + i dL/dy (the conjugate
Wirtinger derivative, twice), and for a cotangent c of f the gradient of Re(conj(c) f). In the real
and imaginary parts this is the ordinary vector-Jacobian product, so that is what is judged: a
complex tensor of shape S becomes a real one of shape [*S, 2].
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from gradcheck.subjects import Subject

Tensors = Mapping[str, Tensor]


class RealViews:
    """A subject whose complex tensors, in and out, are given as real and imaginary parts.

    ``complex_names`` says which inputs and parameters are complex; outputs tell themselves.
    """

    def __init__(self, subject: Subject, complex_names: frozenset[str]) -> None:
        self.subject = subject
        self.name = subject.name
        self.offers = subject.offers
        self._complex_inputs = complex_names
        self._complex_outputs: frozenset[str] = frozenset()

    def forward(self, inputs: Tensors, parameters: Tensors) -> dict[str, Tensor]:
        """Outputs by name, complex ones as [..., 2]."""
        outputs = self.subject.forward(
            _as_complex(inputs, self._complex_inputs),
            _as_complex(parameters, self._complex_inputs),
        )
        self._complex_outputs = frozenset(n for n, o in outputs.items() if o.is_complex())
        return as_real(outputs)

    def vjp(self, cotangents: Tensors) -> dict[str, Tensor]:
        """Gradients by name, complex ones as [..., 2]."""
        return as_real(self.subject.vjp(_as_complex(cotangents, self._complex_outputs)))


def as_real(tensors: Tensors) -> dict[str, Tensor]:
    """The same tensors, complex ones as [..., 2]."""
    return {
        name: torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
        for name, tensor in tensors.items()
    }


def _as_complex(tensors: Tensors, names: frozenset[str]) -> dict[str, Tensor]:
    """The same tensors, those of ``names`` complex again."""
    return {
        # stacked points and other layouts do not always allow a view
        name: torch.complex(tensor[..., 0], tensor[..., 1]) if name in names else tensor
        for name, tensor in tensors.items()
    }
