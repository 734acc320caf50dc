"""What is judged, as a protocol: forward and the vector-Jacobian product, by name.

A subject maps tensors by name to tensors by name, and gives the vector-Jacobian product of its
latest forward. Names: the input is "input" (the second argument of a loss "target"), further inputs
carry the names of the function's arguments, the output is "output" (several: "output_0", ...),
parameters are named as ``named_parameters()`` names them.
"""

from collections.abc import Mapping
from typing import Protocol, cast, runtime_checkable

from torch import Tensor

from gradcheck.subjects.arguments import leaves

Tensors = Mapping[str, Tensor]

OFFERS = frozenset({"accumulate", "zero", "state", "double_backward", "jvp", "vmap"})


@runtime_checkable
class Subject(Protocol):
    """Anything with a forward and a vector-Jacobian product, by name.

    ``vjp`` differentiates the latest ``forward`` and returns this call's gradients only, each with
    the shape of its tensor. A tensor that has no entry in the result has no gradient to judge.
    ``offers`` says what more the subject has, a subset of ``OFFERS``.
    """

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def offers(self) -> frozenset[str]:
        """What it has beside forward and vjp: a subset of ``OFFERS``."""
        ...

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name."""
        ...

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients by name, for cotangents by output name."""
        ...


def named_outputs(result: object) -> dict[str, Tensor]:
    """Outputs by name: a tensor is "output", a sequence is "output_0", ..., a mapping has its keys.

    What is nested deeper has its path, as in "output_1[0]". Raises TypeError for no tensors.
    """
    if isinstance(result, Tensor):
        return {"output": result}
    named: dict[str, object] = {}
    if isinstance(result, Mapping):
        named = {str(key): value for key, value in result.items()}
    elif isinstance(result, (tuple, list)):
        named = {f"output_{i}": value for i, value in enumerate(result)}
    found = {name: dict(leaves(value, name)) for name, value in named.items()}
    if not found or not all(found.values()):
        raise TypeError(
            f"forward returned {describe(result)}: return a tensor, or a tuple or mapping of them"
        )
    return {name: tensor for tensors in found.values() for name, tensor in tensors.items()}


def describe(result: object) -> str:
    """Its type, and those of its items."""
    if isinstance(result, (tuple, list)):
        return f"a {type(result).__name__} of {[type(item).__name__ for item in result]}"
    return f"a {type(result).__name__}"


class Transformable(Protocol):
    """A subject that offers "jvp" or "vmap". Unlike ``vjp`` these depend on no earlier call."""

    def evaluate(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name, without a graph; may be called under ``torch.func.vmap``."""
        ...

    def jvp(
        self,
        inputs: Mapping[str, Tensor],
        parameters: Mapping[str, Tensor],
        tangents: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Derivatives of the outputs along ``tangents`` of some tensors, by forward mode."""
        ...

    def batched_vjp(
        self,
        inputs: Mapping[str, Tensor],
        parameters: Mapping[str, Tensor],
        cotangents: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Gradients [B, *shape] for cotangents [B, *shape] under ``torch.func.vmap``."""
        ...


def transformable(subject: Subject) -> Transformable:
    """The subject, if it has these calls; TypeError where it has forward and vjp only."""
    if not hasattr(subject, "batched_vjp"):
        raise TypeError(
            f"{subject.name} offers {sorted(subject.offers)} without evaluate, jvp, batched_vjp:"
            " define them, or offer neither jvp nor vmap"
        )
    return cast(Transformable, subject)
