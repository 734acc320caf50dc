"""Complex tensors as pairs of real ones.

torch's convention for a real L and z = x + i y is the gradient dL/dx + i dL/dy (the conjugate
Wirtinger derivative, twice), and for a cotangent c of f the gradient of Re(conj(c) f). In the real
and imaginary parts this is the ordinary vector-Jacobian product, so that is what is judged: a
complex tensor of shape S becomes a real one of shape [*S, 2].
"""

import torch
from torch import Tensor

from gradcheck.subjects import Subject
from gradcheck.subjects.protocol import Tensors, transformable


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
        outputs = self.subject.forward(*self._placed(inputs, parameters))
        self._complex_outputs = frozenset(n for n, o in outputs.items() if o.is_complex())
        return as_real(outputs)

    def vjp(self, cotangents: Tensors) -> dict[str, Tensor]:
        """Gradients by name, complex ones as [..., 2]."""
        return as_real(self.subject.vjp(_as_complex(cotangents, self._complex_outputs)))

    def evaluate(self, inputs: Tensors, parameters: Tensors) -> dict[str, Tensor]:
        """Outputs by name without a graph, complex ones as [..., 2]."""
        return as_real(transformable(self.subject).evaluate(*self._placed(inputs, parameters)))

    def jvp(self, inputs: Tensors, parameters: Tensors, tangents: Tensors) -> dict[str, Tensor]:
        """Derivatives of the outputs, complex ones as [..., 2]."""
        moving = _as_complex(tangents, self._complex_inputs)
        placed = self._placed(inputs, parameters)
        return as_real(transformable(self.subject).jvp(*placed, moving))

    def batched_vjp(
        self, inputs: Tensors, parameters: Tensors, cotangents: Tensors
    ) -> dict[str, Tensor]:
        """Gradients [B, *shape] for cotangents [B, *shape], complex ones as [..., 2]."""
        arriving = _as_complex(cotangents, self._complex_outputs)
        placed = self._placed(inputs, parameters)
        return as_real(transformable(self.subject).batched_vjp(*placed, arriving))

    def _placed(self, inputs: Tensors, parameters: Tensors) -> tuple[Tensors, Tensors]:
        names = self._complex_inputs
        return _as_complex(inputs, names), _as_complex(parameters, names)


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
