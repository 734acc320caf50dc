"""What a subject has beside forward and vjp where torch's transforms apply to it."""

from collections.abc import Mapping
from typing import Protocol, cast

from torch import Tensor

from gradcheck.subjects import Subject


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
