"""Both libraries' products: the same sums, exactly where they are exact, whatever the operands."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from scratch_layers import products
from scratch_layers.products import product

onednn = pytest.mark.skipif(not products._available, reason="torch was built without oneDNN")
SHAPES = [(1, 1, 1, 1), (1, 3, 5, 7), (1, 16, 144, 1040), (2, 8, 72, 100), (3, 64, 1, 33)]


@pytest.fixture
def operator(monkeypatch):
    """oneDNN for the smallest product too; the list holds the shapes of its calls."""
    calls, usual = [], products._operator

    def counted(x, *others):
        calls.append(tuple(x.shape))
        return usual(x, *others)

    monkeypatch.setattr(products, "WORTH_A_CALL", 0)
    monkeypatch.setattr(products, "_operator", counted)
    return calls


def integers(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(-8, 9, shape, generator=draw).to(torch.float32)


def layouts(tensor):
    """The same values dense, transposed in memory, with gaps between rows, and not at the start."""
    wide = torch.full((*tensor.shape[:-1], tensor.shape[-1] + 3), torch.nan)
    wide[..., 1:-2] = tensor
    return [tensor, tensor.mT.contiguous().mT, wide[..., 1:-2], torch.stack([tensor] * 2)[1]]


@onednn
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_libraries_agree_exactly_on_integers_in_every_layout(shape, operator):
    g, m, k, p = shape
    expected = torch.bmm(integers(g, m, k), integers(g, k, p, seed=1))
    for left in layouts(integers(g, m, k)):
        for right in layouts(integers(g, k, p, seed=1)):
            assert torch.equal(product(left, right), expected)
    assert len(operator) == 16 * g


@onednn
@pytest.mark.parametrize("special", [torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 1e-40])
def test_special_values_go_where_the_sum_takes_them(special, operator):
    left, right = integers(1, 17, 30), integers(1, 30, 50, seed=1)
    left[0, 4, 7] = right[0, 9, 3] = special
    expected = torch.bmm(left, right)
    assert torch.equal(product(left, right).isnan(), expected.isnan())
    assert torch.equal(product(left, right).nan_to_num(), expected.nan_to_num())
    by_rows = product(right.mT, left.mT).mT
    assert torch.equal(by_rows.nan_to_num(), expected.nan_to_num())
    assert operator


@onednn
@pytest.mark.parametrize("shape", [(1, 0, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0), (0, 2, 3, 4)], ids=str)
def test_empty_products_are_torchs(shape, operator):
    g, m, k, p = shape
    expected = torch.bmm(torch.ones(g, m, k), torch.ones(g, k, p))
    assert torch.equal(product(torch.ones(g, m, k), torch.ones(g, k, p)), expected)
    assert not operator


@onednn
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_only_float32_goes_to_onednn(dtype, operator):
    product(torch.ones(1, 2, 3, dtype=dtype), torch.ones(1, 3, 4, dtype=dtype))
    assert not operator


@onednn
def test_onednn_may_be_switched_off(operator, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert torch.equal(product(torch.ones(1, 2, 3), torch.ones(1, 3, 4))[0], torch.full((2, 4), 3))
    assert not operator


def test_without_the_operator_torch_computes(monkeypatch):
    monkeypatch.setattr(products, "_available", False)
    monkeypatch.setattr(products, "_operator", None)
    monkeypatch.setattr(products, "WORTH_A_CALL", 0)
    assert torch.equal(product(torch.ones(1, 2, 3), torch.ones(1, 3, 4))[0], torch.full((2, 4), 3))


@onednn
def test_small_products_stay_with_torch(operator, monkeypatch):
    monkeypatch.setattr(products, "WORTH_A_CALL", 24)
    product(torch.ones(2, 2, 3), torch.ones(2, 3, 4))
    assert not operator
    product(torch.ones(2, 2, 3), torch.ones(2, 3, 5))
    assert len(operator) == 2


@onednn
def test_inference_mode_and_fake_tensors(operator):
    left, right = integers(1, 4, 5), integers(1, 5, 6, seed=1)
    with torch.inference_mode():
        assert torch.equal(product(left, right), torch.bmm(left, right))
    with FakeTensorMode() as mode:
        assert product(mode.from_tensor(left), mode.from_tensor(right)).shape == (1, 4, 6)
    assert operator


@onednn
def test_the_same_bits_on_every_call_and_with_two_threads(operator):
    left, right = torch.randn(1, 16, 144), torch.randn(1, 144, 4112)
    once, threads = product(left, right), torch.get_num_threads()
    assert torch.equal(product(left, right), once)
    try:
        torch.set_num_threads(2)
        exact = product(integers(1, 16, 144), integers(1, 144, 4112, seed=1))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(exact, torch.bmm(integers(1, 16, 144), integers(1, 144, 4112, seed=1)))
