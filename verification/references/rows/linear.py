"""The row of the linear map of the last axis."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from verification.references.laws.law import INPUT, Multilinear, Tensors
from verification.references.row import Row, Trait
from verification.strategies import geometry


def linear(arguments: Mapping[str, Any], tensors: Tensors) -> Tensor:
    """The linear map x W^T + b along the last axis, whatever axes stand before it."""
    output = tensors[INPUT] @ tensors["weight"].T
    return output + tensors["bias"] if "bias" in tensors else output


LINEAR = Row(
    name="Linear",
    law=Multilinear(linear),
    geometries=geometry.linear_maps,
    traits=frozenset(
        {Trait.LINEAR_IN_INPUT, Trait.LINEAR_IN_PARAMETERS, Trait.BATCHED, Trait.DIFFERENTIABLE}
    ),
    twin=nn.Linear,
)

ROWS = (LINEAR,)
