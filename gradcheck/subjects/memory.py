"""What tensors hold in memory, remembered and put back."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from gradcheck.subjects.protocol import Tensors


def stored(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """A view of every number that is in memory once: along an axis of stride 0 they are one.

    The places are those of ``like``, another tensor of the same shape, where one is given.
    """
    strides = (tensor if like is None else like).stride()
    return tensor[tuple(slice(None) if stride else slice(1) for stride in strides)]


@contextmanager
def putting_back(tensors: Tensors) -> Iterator[dict[str, Tensor]]:
    """Copies of ``tensors`` as they are; at the end what was written to is put back."""
    copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    try:
        yield copies
    finally:
        for name, tensor in tensors.items():
            if not tensor.equal(copies[name]):
                stored(tensor.detach()).copy_(stored(copies[name], like=tensor))
