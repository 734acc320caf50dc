"""The strategies reach every asymmetric cell soon, and whatever they draw is a valid experiment."""

import math

import hypothesis
import pytest
import torch
from hypothesis import given

from verification import catalogue
from verification.cases import SAME, Role
from verification.references.laws.enclosure import Enclosure, Precision
from verification.references.laws.law import OUTPUT
from verification.references.row import Clause
from verification.strategies.cases import ordinary
from verification.strategies.geometries.images import enlarged_size
from verification.strategies.geometry import Limits
from verification.strategies.reach import cells
from verification.strategies.tensors import INTEGERS, LAYOUTS, REALS

SHIPPED = list(catalogue.SHIPPED.values())
NAMES = [entry.row.name for entry in SHIPPED]

SETTINGS = hypothesis.settings(
    max_examples=100,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)

EVERY_TENSOR = {f"{layout} input" for layout in LAYOUTS} | {
    f"{family} values" for family in INTEGERS + REALS
}
EVERY_LAYER = EVERY_TENSOR | {
    "no sample",
    "one sample",
    "several samples",
    "one channel",
    "several channels",
    "height != width",
    "one pixel on an axis",
    *(f"{layout} cotangent" for layout in LAYOUTS),
}
EVERY_WINDOW = {
    "kernel_size differs per axis",
    "stride differs per axis",
    "padding differs per axis",
    "dilation differs per axis",
    "kernel > 1 pixel and dilated",
    "kernel of 1 pixel on an axis",
    "stride > kernel",
    "padding >= kernel",
    "groups > 1",
    "depthwise",
    "several channels a group",
    "no bias",
    *(f"{layout} parameter" for layout in LAYOUTS),
}
EVERY_CORRELATION = {
    "stride leaves a remainder",
    "padding 'same'",
    "padding 'same' with a stride",
    "padding 'same' of an odd total",
    "padding 'valid'",
    "one output pixel",
    "kernel as large as the image",
}
EVERY_SCALE = {
    "scale_factor differs per axis",
    "scale below 1",
    "scale 1",
    "integer scale above 1",
    "fractional scale above 1",
    "scale leaves a remainder",
}
IN_CHUNKS = ("Conv2d", "ConvTranspose2d")
"""Layers that are judged a second time, in tiny chunks and without the contract's empty batch."""

EXPECTED = {
    "Conv2d": EVERY_LAYER | EVERY_WINDOW | EVERY_CORRELATION,
    "ConvTranspose2d": EVERY_LAYER
    | EVERY_WINDOW
    | {"output padding", "output_padding differs per axis"},
    "NearestUpsampling": EVERY_LAYER | EVERY_SCALE | {"long axis"},
    "Upsampling": EVERY_LAYER | EVERY_WINDOW | EVERY_CORRELATION | EVERY_SCALE,
    # Whole scales and no stride, so nothing is left over.
    "FusedUpsampling": (EVERY_LAYER | EVERY_WINDOW | EVERY_CORRELATION)
    - {
        "padding 'same' with a stride",
        "stride differs per axis",
        "stride > kernel",
        "stride leaves a remainder",
    }
    | {"scale_factor differs per axis", "scale 1", "integer scale above 1"},
    "ReLU": EVERY_LAYER,
    "Sigmoid": EVERY_LAYER,
    "Sequential": EVERY_LAYER | {"empty container", "container inside a container"},
    "MSELoss": EVERY_LAYER - {"no sample"} | {"reduction 'mean'", "reduction 'sum'"},
    "SGD": EVERY_TENSOR | {"momentum", "lr differs per step"},
}
EXPECTED |= {f"{name}InChunks": EXPECTED[name] - {"no sample"} for name in IN_CHUNKS}


CAMPAIGNS = 4
"""How many campaigns of 100 examples a cell must be found in. A layer gets one for every property
and dtype, so some sixty."""


def drawn(entry, limits=None, campaigns=1):
    """100 ordinary cases of an entry, for each campaign."""
    strategy = ordinary() if limits is None else ordinary(limits=limits)
    found = []
    for seed in range(campaigns):

        @hypothesis.seed(seed)
        @SETTINGS
        @given(strategy(entry, "any", "cpu", "float32"))
        def collect(case):
            found.append(case)

        collect()
    return found


@pytest.mark.parametrize("entry", SHIPPED, ids=NAMES)
def test_every_cell_is_reached_within_a_few_campaigns(entry):
    reached = frozenset().union(*map(cells, drawn(entry, campaigns=CAMPAIGNS)))
    assert EXPECTED[entry.row.name] - reached == set()


@pytest.mark.parametrize("entry", SHIPPED, ids=NAMES)
def test_every_drawn_case_is_valid(entry):
    for case in drawn(entry):
        specs = {spec.name: spec for spec in case.tensors if spec.role is not Role.COTANGENT}
        ones = {n: Enclosure.of(torch.ones(s.shape), exact=True) for n, s in specs.items()}
        outputs = entry.row.law.forward(case.layer, ones, Precision(torch.float64))
        samples = case.tensors[0].shape[0]
        for enclosure in outputs.values():
            assert enclosure.value.numel() > 0 or samples == 0, case
        subject = entry.build(case.layer, torch.float32, torch.device("cpu"))
        if hasattr(subject, "parameters"):
            own = {name: tuple(value.shape) for name, value in subject.parameters().items()}
            assert own == {s.name: s.shape for s in case.of_role(Role.PARAMETER)}


@pytest.mark.parametrize("entry", SHIPPED, ids=NAMES)
def test_inputs_stay_small(entry):
    sizes = sorted(math.prod(case.tensors[0].shape) for case in drawn(entry, Limits(60)))
    assert sizes[len(sizes) * 9 // 10] <= 60
    # The smallest image that takes the kernel or the scale may exceed the limit.
    assert sizes[-1] <= 240


def waiving(kind, *clauses):
    """The shipped entry of a kind, without those clauses."""
    entry = catalogue.find(f"scratch_layers.{kind}")
    return catalogue.Entry(
        entry.name, entry.row, entry.build, waivers=dict.fromkeys(clauses, "for this test")
    )


@pytest.mark.parametrize(
    ("kind", "clause", "cell"),
    [
        ("Conv2d", Clause.EMPTY_BATCH, "no sample"),
        ("Conv2d", Clause.STRIDED_SAME, "padding 'same' with a stride"),
        ("Upsampling", Clause.STRIDED_SAME, "padding 'same' with a stride"),
        ("Sigmoid", Clause.SATURATION, "wide values"),
        ("SGD", Clause.CHANGING_RATE, "lr differs per step"),
    ],
)
def test_a_waived_cell_is_never_drawn(kind, clause, cell):
    assert not [case for case in drawn(waiving(kind, clause)) if cell in cells(case)]


@pytest.mark.parametrize("kind", ["NearestUpsampling", "Upsampling"])
def test_waived_large_images_are_never_drawn(kind):
    for case in drawn(waiving(kind, Clause.LARGE_NEAREST)):
        scale, size = case.layer.kwargs["scale_factor"], case.tensors[0].shape[2:]
        assert sum(enlarged_size(size, scale)) <= 128


def test_a_container_that_waives_saturation_holds_no_sigmoid():
    for case in drawn(waiving("Sequential", Clause.SATURATION)):
        assert "Sigmoid" not in {call.name for call in case.layer.walk()}


@pytest.mark.parametrize(
    ("kind", "fixed"),
    [
        ("Conv2d", {"groups": 1, "dilation": 1, "padding": 0, "bias": True}),
        ("Conv2d", {"stride": 1, "padding": "valid"}),
        ("ConvTranspose2d", {"output_padding": 0, "groups": 2}),
        ("Upsampling", {"padding": 0, "scale_factor": 2}),
    ],
)
def test_a_held_argument_keeps_its_value(kind, fixed):
    entry = catalogue.find(f"scratch_layers.{kind}")
    for case in drawn(entry, Limits(fixed=tuple(fixed.items()))):
        assert {name: case.layer.kwargs[name] for name in fixed} == fixed
        shapes = {s.name: torch.ones(s.shape) for s in case.tensors if s.role is not Role.COTANGENT}
        tensors = {name: Enclosure.of(t, exact=True) for name, t in shapes.items()}
        output = entry.row.law.forward(case.layer, tensors, Precision(torch.float64))[OUTPUT]
        assert output.value.numel() > 0 or case.tensors[0].shape[0] == 0


REFUSING = [entry for entry in SHIPPED if entry.row.refusals is not None]


@pytest.mark.parametrize("entry", REFUSING, ids=[entry.row.name for entry in REFUSING])
def test_refusals_spoil_every_argument(entry):
    spoilt, arguments = set(), set()

    @hypothesis.seed(0)
    @hypothesis.settings(SETTINGS, max_examples=500)
    @given(entry.row.refusals())
    def collect(refusal):
        spoilt.add(refusal.says[0])
        for call in refusal.geometry.layer.walk():
            arguments.update(call.kwargs if call.name != SAME else ())  # it builds no layer

    collect()
    assert arguments - spoilt == set()
