"""Geometry of a table that is looked up by index."""

from __future__ import annotations

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometry import Geometry, Limits, choices, numbers


@st.composite
def embeddings(draw: DrawFn, limits: Limits) -> Geometry:
    """Embedding: a batch of indices with up to two more axes, into a table of fewer rows than there
    are indices, or more; one of the rows may stand for padding, counted from either end.
    """
    batch = draw(choices(limits.batches))
    shape = (batch, *(draw(numbers(1, 4)) for _ in range(draw(choices((1, 0, 2))))))
    rows, size = draw(numbers(1, 7)), draw(numbers(1, 5))
    padding = draw(limits.choose("padding_idx", choices((None, None, 0, rows - 1, -1))))
    layer = LayerCall.of("Embedding", num_embeddings=rows, embedding_dim=size, padding_idx=padding)
    domains = [("input", f"indices({rows})")]
    if padding is not None:
        domains.append(("weight", f"zero row({padding % rows})"))
    return Geometry(
        layer,
        (("input", shape),),
        (("weight", (rows, size)),),
        domains=tuple(domains),
    )
