"""Scratch layers that treat the suite's small pictures as large ones: in many chunks, and with the
library that large products go to.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from gradcheck.subjects import LayerSubject
from scratch_layers import products, windows

TINY_CHUNK_BYTES = 64
"""Room for sixteen numbers: most pictures are then cut between samples and between lines."""


class Chunked(LayerSubject):
    """A layer whose windows are written and multiplied a few at a time, by oneDNN if in float32.

    Both are set for the time of a call, since a layer plans its chunks as it is called.
    """

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        with _as_if_large():
            return super().forward(inputs, parameters)

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with _as_if_large():
            return super().vjp(cotangents)


@contextmanager
def _as_if_large() -> Iterator[None]:
    usual = windows.CHUNK_BYTES, products.WORTH_A_CALL
    windows.CHUNK_BYTES, products.WORTH_A_CALL = TINY_CHUNK_BYTES, 0
    try:
        yield
    finally:
        windows.CHUNK_BYTES, products.WORTH_A_CALL = usual
