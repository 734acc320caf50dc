"""Right convolutions of other makes pass; the bounds of those that transform still find a mistake.

`python -m benchmarks alarms` is the same with as many examples as one likes.
"""

from dataclasses import replace

import pytest
import torch

from verification.meta.harness import first_failure, stand_in
from verification.meta.right import RIGHT
from verification.meta.right.transforms import A, B, ByFourier, ByWinograd, G
from verification.properties import applicable

QUICK = (
    "forward_matches_reference",
    "gradients_match_reference",
    "results_are_exact_on_integers",
    "input_gradient_is_adjoint",
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("entry", RIGHT.values(), ids=RIGHT)
def test_a_right_convolution_is_left_alone(entry, dtype):
    for name in QUICK:
        assert first_failure(entry, name, dtype=dtype, examples=10) is None


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("entry", RIGHT.values(), ids=RIGHT)
def test_a_right_convolution_passes_every_property(entry, dtype):
    for prop in applicable(entry):
        assert first_failure(entry, prop.name, dtype=dtype, examples=200) is None


class HasTooShortAPeriod(ByFourier):
    """Lets the last row wrap around to the first."""

    def correlate(self, x, w):
        return super().correlate(x, w).roll(1, 2)


class ForgetsToConjugate(ByFourier):
    """Convolves where it should correlate."""

    def dense_kernel(self, w):
        return super().dense_kernel(w).flip(2, 3)


class TransformsTheKernelWrong(ByWinograd):
    """Has one sign of G wrong."""

    matrices = A, B, ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (0, 0, 1))


class RoundsItsKernel(ByWinograd):
    """Keeps the transformed kernel in bfloat16, with 8 bits."""

    def dense_kernel(self, w):
        return super().dense_kernel(w).to(torch.bfloat16).to(w.dtype)


@pytest.mark.parametrize(
    "wrong", [HasTooShortAPeriod, ForgetsToConjugate, TransformsTheKernelWrong, RoundsItsKernel]
)
def test_a_wrong_transform_is_found_within_its_own_bounds(wrong):
    right = RIGHT[f"right.{wrong.__base__.__name__}"]
    entry = replace(stand_in("Conv2d", wrong, f"broken.{wrong.__name__}"), row=right.row)
    assert first_failure(entry, "forward_matches_reference") is not None


def test_winograds_matrices_make_a_correlation():
    x, w = torch.tensor([1.0, 2, 4, 8]), torch.tensor([3.0, 5, 7])
    a, b, g = (torch.tensor(matrix, dtype=torch.float32) for matrix in (A, B, G))
    assert (a @ ((g @ w) * (b @ x))).tolist() == [41, 82]
