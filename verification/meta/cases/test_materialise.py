"""A spec is made real: the same numbers everywhere, in the layout it names, between canaries."""

import math

import pytest
import torch

from verification.cases import Role, TensorSpec, Values
from verification.strategies.tensors import INTEGERS, LAYOUTS, REALS
from verification.trials.materialise import FAMILIES, Budget, elements, materialise, place

BUDGET = Budget(balanced=5, full=1000)
CPU = torch.device("cpu")
DISTINCT = ("contiguous", "channels_last", "strided", "transposed", "offset", "permuted")


def made(family="integers", seed=1, shape=(2, 3, 4, 5), layout="contiguous", dtype=torch.float32):
    spec = TensorSpec("input", Role.INPUT, shape, Values(family, seed), layout)
    return materialise(spec, shape, lambda: BUDGET, dtype, CPU)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_spec_gives_the_same_bits(family):
    once, again, other = made(family), made(family), made(family, seed=2)
    assert torch.equal(once.before, again.before)
    if family not in ("ramp",):
        assert not torch.equal(once.before, other.before)


def test_numbers_do_not_change_with_the_version():
    # A case file holds a family and a seed: other numbers would be another case.
    assert made("integers", shape=(6,)).tensor.tolist() == [4.0, -2.0, 3.0, -4.0, 1.0, 1.0]
    assert made("dense", shape=(2,), dtype=torch.float64).tensor.tolist() == [
        -0.36903020039226087,
        -0.6307869238584142,
    ]


def test_two_tensors_of_one_seed_differ():
    shape = (20,)
    first, second = (
        elements(TensorSpec(name, Role.INPUT, shape), shape, lambda: BUDGET, torch.float32)
        for name in ("input", "weight")
    )
    assert not torch.equal(first, second)


@pytest.mark.parametrize("family", [f for f in INTEGERS if f != "full"])
def test_integers_stay_within_the_budget(family):
    values = made(family, shape=(400,)).tensor
    assert values.abs().max() <= BUDGET.balanced
    assert torch.equal(values, values.round())


def test_full_integers_fill_theirs():
    values = made("full", shape=(400,)).tensor
    assert BUDGET.full * 0.9 < values.abs().max() <= BUDGET.full
    assert values.count_nonzero() == 400


@pytest.mark.parametrize("family", REALS)
def test_reals_are_finite_and_not_all_zero(family):
    values = made(family, shape=(40,)).tensor
    assert values.isfinite().all()
    assert values.any()


def test_special_values_are_among_finite_ones():
    values = made("special", shape=(400,), dtype=torch.float64).tensor
    tiny = values.abs() < torch.finfo(torch.float64).smallest_normal
    assert values.isnan().any()
    assert values.isposinf().any()
    assert values.isneginf().any()
    assert (tiny & (values != 0)).any()
    assert ((values == 0) & values.signbit()).any()
    assert values.isfinite().sum() > 200


def test_one_hot_has_one_element():
    assert made("one_hot", shape=(4, 5)).tensor.count_nonzero() == 1


def test_stored_elements_win():
    spec = TensorSpec("input", Role.INPUT, (2, 2), Values(stored=(1.0, -0.0, math.inf, math.nan)))
    tensor = materialise(spec, (2, 2), lambda: BUDGET, torch.float64, CPU).tensor
    assert tensor[0, 0] == 1
    assert tensor[0, 1].signbit()
    assert tensor[1, 0] == math.inf
    assert tensor[1, 1].isnan()


IS_LAID_OUT = {
    "contiguous": lambda t: t.is_contiguous(),
    "channels_last": lambda t: t.is_contiguous(memory_format=torch.channels_last),
    "strided": lambda t: t.stride() == tuple(2 * s for s in torch.empty(t.shape).stride()),
    "transposed": lambda t: t.mT.is_contiguous(),
    "offset": lambda t: t.is_contiguous() and t.storage_offset() % 4 == 3,
    "permuted": lambda t: t.permute(3, 2, 1, 0).is_contiguous(),
    "expanded": lambda t: t.stride().count(0) == 1,
    "broadcast": lambda t: t.stride() == (0, 0, 0, 0),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_has_the_strides_it_claims(layout):
    assert IS_LAID_OUT[layout](made(layout=layout).tensor)


@pytest.mark.parametrize("layout", DISTINCT)
def test_a_layout_does_not_change_the_numbers(layout):
    assert torch.equal(made(layout=layout).tensor, made().tensor)


def test_one_channel_in_channels_last_has_the_strides_of_channels_last():
    tensor = made(shape=(2, 1, 4, 5), layout="channels_last").tensor
    assert tensor.stride() == (20, 1, 5, 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 0, 3, 3), (1,), (1, 1, 1, 1)])
def test_every_layout_takes_every_shape(layout, shape):
    assert made(shape=shape, layout=layout).tensor.shape == shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_canaries_see_writes_beside_the_tensor(layout):
    placed = made(layout=layout)
    assert placed.damage() == ""
    inside = {placed.tensor.storage_offset()}
    for size, step in zip(placed.tensor.shape, placed.tensor.stride(), strict=True):
        inside = {start + i * step for start in inside for i in range(size)}
    for position in range(placed.buffer.numel()):
        fresh = made(layout=layout)
        fresh.buffer[position] = 0.25
        assert fresh.damage() == ("of" if position in inside else "around")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_write_into_one_element_is_seen(layout, shape):
    placed = made(shape=shape, layout=layout)
    placed.tensor.add_(1)
    assert placed.damage() == "of"


def test_a_write_of_the_same_value_is_no_damage():
    placed = made()
    placed.tensor.mul_(1)
    assert placed.damage() == ""


def test_a_canary_reads_as_nan():
    # A layer that reads the gaps of a strided tensor cannot get a right result.
    placed = place(torch.ones(3, dtype=torch.float64), "strided", torch.float32, CPU)
    assert placed.buffer.isnan().sum() == placed.buffer.numel() - 3
