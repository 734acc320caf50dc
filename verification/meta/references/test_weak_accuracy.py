"""Weak accuracy: a right convolution by FFT or Winograd's products is weak, a wrong one wrong."""

import pytest

import verification
from verification import catalogue
from verification.cases import SubjectSpec
from verification.properties import PROPERTIES
from verification.references.torch_nn import REFERENCES
from verification.report.summary import Result
from verification.running.campaign import Tally, hunt
from verification.subjects.driving.told import Adapter
from verification.subjects.resolve import foreign
from verification.trials.discrepancy import Discrepancy
from verification.trials.outcome import WEAK
from verification.trials.weak import leniently

FAST = "verification.meta.wild.fast"
FORWARD = ("forward_matches_reference", "results_are_exact_on_integers")
THREE = Adapter(kwargs=(("kernel_size", 3),)).told


def judged(name: str, prop: str, told=(), settings=None) -> Tally:
    """The tally of one property; raises what the layer is wrong in."""
    entry, _ = foreign(SubjectSpec(f"{FAST}:{name}", "Conv2d", adapter=told))
    tally = Tally()
    with catalogue.added(entry):
        hunt(entry, PROPERTIES[prop], tally=tally)
    return tally


@pytest.mark.parametrize("prop", ["gradients_match_reference", "results_are_exact_on_integers"])
def test_a_right_transform_is_weak(prop: str) -> None:
    tally = judged("ByTransform", prop)
    assert tally.counts[WEAK] > 0


def test_right_products_are_weak() -> None:
    tally = judged("ByProducts", "forward_matches_reference", THREE)
    assert tally.counts[WEAK] > 0


@pytest.mark.parametrize(
    ("name", "told"),
    [("ByTransformWrong", ()), ("ByProductsWrong", THREE)],
    ids=["fft", "winograd"],
)
def test_a_wrong_one_is_wrong(name: str, told) -> None:
    with pytest.raises(Discrepancy, match="output wrong"):
        judged(name, "forward_matches_reference", told)


def test_the_report_counts_what_is_weak() -> None:
    report = verification.check(
        f"{FAST}:ByTransform",
        like="Conv2d",
        properties=["forward_matches_reference"],
        dtypes=["float32"],
        examples=30,
    )
    assert report.ok
    (cell,) = report.summary.cells
    assert cell.result is Result.PASSED
    weak = cell.counts[WEAK]
    assert f"weak accuracy: forward matches reference: {weak} of 30 examples" in str(report)


def test_what_computes_beside_its_tensors_is_no_measure() -> None:
    twins = {
        name: leniently(REFERENCES[f"torch.nn.{name}"]).row.law.twin
        for name in ("ConvTranspose2d", "ConvTranspose3d")
    }
    assert twins == {
        "ConvTranspose2d": REFERENCES["torch.nn.ConvTranspose2d"],
        "ConvTranspose3d": None,
    }
