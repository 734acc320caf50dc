"""The catalogue: which row judges which subject. Adding a shipped layer is one line here.

torch.nn's layers are subjects too, by the names in references/torch_nn.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

import scratch_layers
from gradcheck.subjects import LayerSubject, Subject
from verification.cases import SAME, LayerCall
from verification.references import torch_nn
from verification.references.row import Clause, Row
from verification.references.rows import (
    activations,
    containers,
    convolution,
    losses,
    optimizers,
    upsampling,
)
from verification.subjects.chunked import Chunked
from verification.subjects.driving.optimizers import scratch_sgd
from verification.subjects.entry import Build, Entry
from verification.subjects.probing.probed import Probed

_OFFERS = frozenset({"accumulate", "zero", "state"})


def build_layer(call: LayerCall, dtype: torch.dtype, device: torch.device) -> scratch_layers.Module:
    """The scratch layer that a call describes, its children first."""
    kind = getattr(scratch_layers, call.name)
    layer: scratch_layers.Module = kind(*build_children(call, dtype, device), **call.kwargs)
    return layer.to(device, dtype)


def build_children(
    call: LayerCall, dtype: torch.dtype, device: torch.device
) -> list[scratch_layers.Module]:
    """The scratch layers inside the one that a call describes."""
    built: list[scratch_layers.Module] = []
    for child in call.children:
        again = child.name == SAME
        built.append(built[child.kwargs["place"]] if again else build_layer(child, dtype, device))
    return built


def _layer(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    return LayerSubject(build_layer(call, dtype, device))


def _chunked_layer(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    return Chunked(build_layer(call, dtype, device))


def _chunked(row: Row) -> Entry:
    """The same layer in tiny chunks; of the contract only NaN and infinities depend on them."""
    clauses = row.clauses & {Clause.NON_FINITE}
    in_chunks = replace(row, name=f"{row.name}InChunks", clauses=clauses, refusals=None)
    return _shipped(in_chunks, _chunked_layer)


def _loss(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    return LayerSubject(scratch_layers.MSELoss(**call.kwargs))


def _optimizer(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    return scratch_sgd(call)


def _shipped(row: Row, build: Build = _layer, offers: frozenset[str] = _OFFERS) -> Entry:
    return Entry(f"scratch_layers.{row.name}", row, build, offers)


SHIPPED: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        _shipped(convolution.CONV2D),
        _shipped(convolution.CONV_TRANSPOSE2D),
        _chunked(convolution.CONV2D),
        _chunked(convolution.CONV_TRANSPOSE2D),
        # In tiny chunks too, some of which hold one sample and some several.
        _shipped(upsampling.NEAREST_UPSAMPLING, _chunked_layer),
        _shipped(upsampling.UPSAMPLING),
        _shipped(upsampling.FUSED_UPSAMPLING),
        _shipped(activations.RELU),
        _shipped(activations.SIGMOID),
        _shipped(containers.SEQUENTIAL),
        _shipped(Probed(silent=(losses.TARGET,)).row(losses.MSE_LOSS), _loss, frozenset()),
        _shipped(optimizers.SGD, _optimizer, frozenset({"step"})),
    )
}
"""Every shipped layer by name."""

_ADDED: dict[str, Entry] = {}


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        KeyError: no subject of the catalogue has that name; the message lists those that do.
    """
    known = SHIPPED | torch_nn.REFERENCES | _ADDED
    if name not in known:
        raise KeyError(f"unknown subject {name!r}; the catalogue has {', '.join(sorted(known))}")
    return known[name]


@contextmanager
def added(*entries: Entry) -> Iterator[None]:
    """Entries that the catalogue has for a while: a foreign layer under judgement, a broken one in
    a test.
    """
    before = dict(_ADDED)
    _ADDED.update({entry.name: entry for entry in entries})
    try:
        yield
    finally:
        _ADDED.clear()
        _ADDED.update(before)
