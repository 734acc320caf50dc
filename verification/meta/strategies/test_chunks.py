"""Small pictures are computed as large ones are: a fault on that way alone is found."""

import pytest

from scratch_layers import products
from scratch_layers.windows import Windows
from verification import catalogue
from verification.meta.harness import find_failures

chunks = Windows.chunks
PROPERTY = "results_are_exact_on_integers"


def _first_samples_again(self, source):
    """Windows.chunks, wrong: every chunk holds the samples of the first."""
    first = source[: self.samples]
    return chunks(self, first.repeat(len(source), 1, 1, 1)[: len(source)])


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_a_fault_between_chunks_is_found(kind, monkeypatch):
    whole = catalogue.find(f"scratch_layers.{kind}")
    chunked = catalogue.find(f"scratch_layers.{kind}InChunks")
    assert not find_failures(chunked, PROPERTY)
    monkeypatch.setattr(Windows, "chunks", _first_samples_again)
    assert not find_failures(whole, PROPERTY)
    assert find_failures(chunked, PROPERTY)


@pytest.mark.skipif(not products._available, reason="torch was built without oneDNN")
def test_a_fault_in_large_products_is_found(monkeypatch):
    monkeypatch.setattr(products, "_operator", lambda x, w, *others: x[:, 1:] @ w[:, 1:].t())
    assert find_failures(catalogue.find("scratch_layers.ConvTranspose2dInChunks"), PROPERTY)
