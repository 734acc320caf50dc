"""The description language: what lines mean, which sizes are drawn, how bad ones are refused."""

import hypothesis
import pytest
from hypothesis import given

from verification.cases import LayerCall
from verification.strategies.descriptions.description import Description
from verification.strategies.descriptions.extents import DescriptionError
from verification.strategies.geometry import Limits

CALL = LayerCall.of("f")


def drawn(inputs, where="", settings=None, count=150, limits=Limits()):  # noqa: B008
    found = []

    @hypothesis.settings(max_examples=count, database=None, derandomize=True, deadline=None)
    @given(Description(inputs, where, settings).geometries(limits, CALL))
    def collect(geometry):
        found.append(geometry)

    collect()
    return found


def shapes(inputs, **more):
    return [dict(geometry.inputs) for geometry in drawn(inputs, **more)]


def test_a_name_is_one_extent_wherever_it_stands():
    for s in shapes({"x": "n c h w", "weight": "o c k k", "bias": "o", "scale": ""}):
        assert s["x"][1] == s["weight"][1]
        assert s["weight"][2] == s["weight"][3]
        assert s["bias"] == s["weight"][:1]
        assert s["scale"] == ()


def test_sizes_are_none_one_equal_unequal_and_more_than_a_power_of_two():
    seen = [s["x"] for s in shapes({"x": "n m"})]
    assert any(0 in s for s in seen)
    assert any(1 in s for s in seen)
    assert any(n == m > 1 for n, m in seen)
    assert any(n != m for n, m in seen)
    assert any({9, 17, 33} & {*s} for s in seen)


def test_arithmetic_fixed_numbers_and_runs_of_axes():
    for s in shapes({"x": "2*c 3 n//2", "y": "[b] c", "z": "*many c", "w": "... c n"}):
        assert s["x"][1] == 3
        assert s["x"][0] == 2 * s["y"][-1] == 2 * s["w"][-2]
        assert len(s["y"]) in (1, 2)
        assert len(s["z"]) in (1, 2, 3)
        assert s["x"][2] == s["w"][-1] // 2


def test_relations_hold_and_settings_may_stand_in_them():
    found = drawn(
        {"x": "n h", "kernel": "k"},
        where="k <= h + 2*padding and h % 2 == 0",
        settings={"padding": (0, 1, 2), "mode": ("zeros", "reflect")},
    )
    for geometry in found:
        s, arguments = dict(geometry.inputs), geometry.layer.kwargs
        assert s["kernel"][0] <= s["x"][1] + 2 * arguments["padding"]
        assert s["x"][1] % 2 == 0
    taken = {tuple(geometry.layer.kwargs.values()) for geometry in found}
    assert len(taken) == 6


def test_a_rare_relation_is_met_every_time():
    for s in shapes({"x": "a b c d"}, where="a == b * c and c == d + 1"):
        a, b, c, d = s["x"]
        assert a == b * c
        assert c == d + 1


def test_domains_get_the_numbers_of_the_names():
    found = drawn({"x": "n c", "t": "n labels(c, ignored=-100)", "m": "c c positive definite"})
    for geometry in found:
        classes = dict(geometry.inputs)["x"][1]
        assert dict(geometry.domains)["t"] == f"labels({classes}, ignored=-100)"
        assert dict(geometry.domains)["m"] == "positive definite"


def test_tensors_stay_small():
    for s in shapes({"x": "n c h w", "y": "n n"}, limits=Limits(elements=60)):
        assert s["x"][0] * s["x"][1] * s["x"][2] * s["x"][3] <= 60


@pytest.mark.parametrize(
    ("inputs", "where", "says"),
    [
        ({}, "", 'there are no inputs: write inputs={"x": "n c"}'),
        ({"x": "n c+ h"}, "", "input 'x', 'n c+ h': 'c+' is no expression"),
        ({"x": "n c.h"}, "", "'c.h' has no place in 'c.h'"),
        ({"x": "n lables(c)"}, "", "'n lables' is no domain; choose from real, positive"),
        ({"x": "n labels"}, "", "domain 'labels()': missing 1 required positional argument"),
        ({"x": "n f(n) c"}, "", "no domain; choose from"),
        ({"x": "n"}, "k < n", "where names k, which no input has; the extents are n"),
        ({"x": "n"}, "n < n", "no sizes from 1 to 33 satisfy x: 'n' and where 'n < n'"),
        ({"x": "n"}, "n <", "where: 'n <' is no expression"),
        ({"x": "n"}, "f(n)", "'f(n)' has no place in 'f(n)'"),
        ({"x": "n-40"}, "", "no sizes from 1 to 33 satisfy x: 'n-40'"),
        ({"x": "n 2*n symmetric"}, "", "holds square matrices, and the shape is (2, 4)"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused_in_one_sentence(inputs, where, says):
    with pytest.raises(DescriptionError) as error:
        Description(inputs, where)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_are_values_in_turn():
    with pytest.raises(DescriptionError, match="setting 'mode' is 'zeros': give the values"):
        Description({"x": "n"}, settings={"mode": "zeros"})
