"""torch.nn's own layers before the rows that judge the shipped ones: any failure is a false alarm
of the suite, or a departure of torch.nn that docs/findings.md and a waiver should name.
"""

import math

import hypothesis
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from verification.properties import PROPERTIES, applicable
from verification.references.row import Clause
from verification.references.torch_nn import OTHER_CONTRACT, REFERENCES
from verification.running.campaign import hunt

DTYPES = ["float32", "float64"]
PARITY = ["forward_matches_reference", "gradients_match_reference"]

pytestmark = [
    # A probe whether the loss can be batched stacks its input and not its target.
    pytest.mark.filterwarnings("ignore:Using a target size"),
    # torch says that it copies the input where 'same' pads by an odd number.
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PARITY)
@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
def test_torchs_layers_agree_with_their_rows(reference, name, dtype):
    if PROPERTIES[name].missing(reference):
        pytest.skip(f"{reference.name} has no {PROPERTIES[name].missing(reference)}")
    settings = hypothesis.settings(max_examples=20, derandomize=True, database=None, deadline=None)
    hunt(reference, PROPERTIES[name], dtype=dtype, settings=settings)


EVERY = [(reference, prop) for reference in REFERENCES.values() for prop in applicable(reference)]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("reference", "prop"), EVERY, ids=[f"{entry.name}-{prop.name}" for entry, prop in EVERY]
)
def test_torchs_layers_pass_every_property_that_applies(reference, prop, dtype):
    hunt(reference, prop, dtype=dtype)


# Each waiver stands for a departure that is there: without it the suite would report a failure.
# Those of the activations, norms and losses are in test_departures.py.


def test_every_departure_is_shown():
    waived = {clause for entry in REFERENCES.values() for clause in entry.waivers}
    assert waived - OTHER_CONTRACT.keys() == {
        Clause.AXIS_ORDER,
        Clause.CHANGING_RATE,
        Clause.EMPTY_BATCH,
        Clause.FRESH_OUTPUTS,
        Clause.LARGE_NEAREST,
        Clause.NON_FINITE,
        Clause.PARAMETER_GAPS,
        Clause.SATURATION,
        Clause.SIXTEEN_BITS,
        Clause.SMALL_IMAGE,
        Clause.STRIDED_SAME,
        Clause.WIDE_PADDING,
    }


def test_nearest_upsampling_gathers_by_one_index_and_scatters_by_another():
    x = torch.arange(64.0, requires_grad=True)
    enlarged = F.interpolate(x.reshape(1, 1, 64, 1), scale_factor=(2.01, 1.0), mode="nearest")
    (counts,) = torch.autograd.grad(enlarged.sum(), x)
    gathered = torch.bincount(enlarged.flatten().long(), minlength=64).float()
    assert not torch.equal(gathered, counts)


def test_nearest_upsampling_over_one_axis_reads_other_pixels_than_it_sends_gradients_to():
    x = torch.tensor([[[0.0, 1.0]]], requires_grad=True)
    enlarged = F.interpolate(x, scale_factor=1.1, mode="nearest")
    assert enlarged.flatten().tolist() == [0, 0]
    assert torch.autograd.grad(enlarged.sum(), x)[0].flatten().tolist() == [1, 1]


def weighted(image, channels_last):
    """The image seen through a kernel of 1 ... 16."""
    conv = nn.Conv2d(1, 1, kernel_size=4, stride=(1, 2), padding=2, bias=False)
    conv.load_state_dict({"weight": torch.arange(1.0, 17).reshape(1, 1, 4, 4)})
    return (conv.to(memory_format=torch.channels_last) if channels_last else conv)(image)


def test_a_channels_last_convolution_computes_other_numbers():
    image = torch.ones(1, 1, 1, 1)
    assert weighted(image, channels_last=False).flatten().tolist() == [11, 7]
    if weighted(image, channels_last=True).flatten().tolist() == [11, 7]:
        pytest.skip("the kernel that oneDNN chooses for this CPU is right")


def test_an_infinity_beside_the_padding_counts_in_one_dtype_and_not_in_another():
    def first_gradient(dtype):
        weight = torch.zeros(1, 1, 4, 4, dtype=dtype, requires_grad=True)
        y = F.conv_transpose2d(torch.full((1, 1, 1, 1), math.inf, dtype=dtype), weight, padding=1)
        return torch.autograd.grad(y.sum(), weight)[0][0, 0, 0, 0]

    if first_gradient(torch.float32).isnan():
        pytest.skip("the kernel for this CPU multiplies the padding's zeros in float32 too")
    assert first_gradient(torch.float64).isnan()


def test_a_padded_image_smaller_than_the_kernel_is_refused_over_three_axes_alone():
    arguments = {"kernel_size": 2, "stride": 1, "padding": 1}
    assert nn.AvgPool2d(**arguments)(torch.ones(1, 1, 1, 1)).shape == (1, 1, 2, 2)
    with pytest.raises(RuntimeError, match="smaller than kernel size"):
        nn.AvgPool3d(**arguments)(torch.ones(1, 1, 1, 1, 1))
    with pytest.raises(NotImplementedError, match="Half"):
        nn.AvgPool3d(1)(torch.ones(1, 1, 1, 1, 1, dtype=torch.float16))


def test_a_maximum_of_minus_infinity_is_looked_for_in_the_first_slice():
    volume = torch.full((1, 2, 2, 1, 1), -math.inf).to(memory_format=torch.channels_last_3d)
    volume.requires_grad_()
    (gradient,) = torch.autograd.grad(F.max_pool3d(volume, 1).sum(), volume)
    assert gradient.flatten().tolist() == [2, 0, 2, 0]


@pytest.mark.parametrize("shuffle", [nn.PixelShuffle(2), nn.PixelUnshuffle(2)], ids=str)
def test_the_backward_of_an_empty_shuffle_raises(shuffle):
    image = torch.ones(0, 4, 2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"invalid gradient|divisible"):
        torch.autograd.grad(shuffle(image).sum(), image)


def test_a_window_of_padding_alone_has_its_maximum_outside_the_image():
    # Its backward is not called: it writes to that place.
    pool = nn.MaxPool2d((1, 2), 1, (0, 1), dilation=(1, 3), return_indices=True)
    pooled, places = pool(torch.zeros(1, 1, 3, 2))
    assert pooled.flatten().tolist() == [-math.inf] * 3
    assert places.flatten().tolist() == [2, 4, 6]


def test_same_padding_with_a_stride_is_refused():
    with pytest.raises(ValueError, match="strided"):
        nn.Conv2d(1, 1, 3, stride=2, padding="same")


def test_sigmoids_derivative_vanishes_where_it_should_not():
    x = torch.tensor([20.0], requires_grad=True)
    (slope,) = torch.autograd.grad(torch.sigmoid(x).sum(), x)
    assert slope.item() == 0
    assert math.exp(-20) > 2e-9


def test_an_activation_differentiates_its_kept_output():
    x = torch.ones(1, requires_grad=True)
    output = torch.relu(x)
    output.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(output.sum(), x)


def test_attention_differentiates_its_kept_output():
    x = torch.ones(1, 1, 1, 1, requires_grad=True)
    output = F.scaled_dot_product_attention(x, x, x)
    output.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(output.sum(), x)


def test_a_query_that_may_look_at_nothing_gets_zeros():
    x = torch.ones(1, 1, 2, requires_grad=True)
    nothing = torch.zeros(1, 1, 1, dtype=torch.bool)
    output = F.scaled_dot_product_attention(x, x, x, attn_mask=nothing)
    assert output.flatten().tolist() == [0, 0]
    assert torch.autograd.grad(output.sum(), x)[0].flatten().tolist() == [0, 0]


def test_an_empty_sequential_returns_its_input():
    x = torch.ones(1)
    assert nn.Sequential()(x) is x


def test_a_changed_learning_rate_multiplies_the_momentum_too():
    w = torch.zeros(1)
    w.grad = torch.ones(1)
    optimizer = torch.optim.SGD([w], lr=1.0, momentum=1.0)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    # The report's factor would be 1 once more: w = -2.
    assert w.item() == -1
