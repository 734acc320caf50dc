"""What a described function offers beside forward and backward, each with a fault that is seen: a
registration as a custom operator, shapes without numbers, autocast.
"""

import torch

import verification


def sentence(report, name):
    """What is said of the first failure of a property."""
    (cell,) = [cell for cell in report.summary.cells if cell.property == name]
    return cell.failures[0].sentence


@torch.library.custom_op("test_described_modes::triple", mutates_args=())
def triple(x: torch.Tensor) -> torch.Tensor:
    return 3 * x


@triple.register_fake
def _(x):
    return x.new_empty(0)


triple.register_autograd(lambda ctx, g: 3 * g)


def test_a_custom_operator_is_compared_with_what_it_was_registered_as(tmp_path):
    report = verification.check(
        triple,
        inputs={"x": "n"},
        properties=["operator_is_what_it_was_registered_as"],
        supervised=False,
        cases=tmp_path,
        dtypes=["float64"],
        examples=8,
    )
    assert "opcheck" in sentence(report, "operator_is_what_it_was_registered_as")


def test_shapes_that_are_told_wrongly_are_seen(tmp_path):
    prop = "shapes_are_told_without_numbers"
    report = verification.check(
        triple,
        inputs={"x": "n"},
        properties=[prop],
        supervised=False,
        cases=tmp_path,
        dtypes=["float64"],
        examples=8,
    )
    assert "without numbers, and" in sentence(report, prop)


class Product(torch.autograd.Function):
    """A product that forgets that autocast multiplies in bfloat16."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w.t(), x.t() @ g


def test_a_backward_that_forgets_autocast_is_seen(tmp_path):
    prop = "autocast_keeps_dtypes"
    report = verification.check(
        Product,
        inputs={"x": "n k", "w": "k m"},
        properties=[prop],
        dtypes=["float32"],
        examples=20,
        supervised=False,
        cases=tmp_path,
    )
    assert "backward raises RuntimeError" in sentence(report, prop)
