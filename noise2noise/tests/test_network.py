"""Both forms of the network: sizes, names, and the twin that takes the same weights."""

import pytest
import torch

from noise2noise.network import FORMS, denoiser
from noise2noise.twin import denoiser_twin

# 3 -> 16 and 16 -> 32 with kernels of 3 x 3 and biases, then the decoder.
ENCODER = (3 * 9 + 1) * 16 + (16 * 9 + 1) * 32
PARAMETERS = {
    "one": ENCODER + (32 * 9 + 1) * 3,
    "two": ENCODER + (32 * 9 + 1) * 16 + (16 * 9 + 1) * 3,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_output_has_the_size_and_the_range_of_the_input(form):
    network = denoiser(form)
    for shape in [(2, 3, 32, 32), (1, 3, 16, 40)]:
        output = network(torch.rand(shape))
        assert output.shape == shape
        assert 0 < output.min() <= output.max() < 1


@pytest.mark.parametrize("form", FORMS)
def test_the_parameters_are_those_of_the_report(form):
    parameters = denoiser(form).parameters()
    assert sum(parameter.data.numel() for parameter in parameters) == PARAMETERS[form]


@pytest.mark.parametrize("form", FORMS)
def test_the_twin_draws_and_takes_the_same_weights(form):
    torch.manual_seed(5)
    ours = denoiser(form).state_dict()
    torch.manual_seed(5)
    twin = denoiser_twin(form)
    assert list(ours) == list(twin.state_dict())
    assert all(torch.equal(ours[name], value) for name, value in twin.state_dict().items())
    torch.manual_seed(6)
    other = denoiser(form)
    other.load_state_dict(twin.state_dict())
    assert all(torch.equal(ours[name], value) for name, value in other.state_dict().items())


def test_another_form_is_refused():
    with pytest.raises(ValueError, match=r"form: got 'three'; allowed are 'one' .* and 'two'"):
        denoiser("three")
