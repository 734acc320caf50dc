"""Scratch convolutions in tiny chunks, so that the suite's small pictures cross their borders."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from gradcheck.subjects import LayerSubject
from scratch_layers import windows

TINY_CHUNK_BYTES = 64
"""Room for sixteen numbers: most pictures are then cut between samples and between lines."""


class Chunked(LayerSubject):
    """A layer whose windows are written and multiplied a few at a time.

    The size is set for the time of a call, since a layer plans its chunks as it is called.
    """

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        with _tiny_chunks():
            return super().forward(inputs, parameters)

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with _tiny_chunks():
            return super().vjp(cotangents)


@contextmanager
def _tiny_chunks() -> Iterator[None]:
    usual, windows.CHUNK_BYTES = windows.CHUNK_BYTES, TINY_CHUNK_BYTES
    try:
        yield
    finally:
        windows.CHUNK_BYTES = usual
