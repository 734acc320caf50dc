"""What is no wrong number: faults that are told apart from wrong gradients, each by name."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradcheck.differences.evaluation import flatten, judged_outputs
from gradcheck.rounding import PLAUSIBLE_NOISE, unit_roundoff
from gradcheck.subjects import AutogradSubject
from gradcheck.subjects.protocol import Tensors
from gradcheck.verdicts.points import Point

_OUTPUTS_ALONE = 4  # so many of the outputs get the only cotangent in turn


def changes(groups: Sequence[Tensors], copies: Sequence[Tensors]) -> list[str]:
    """Which tensors the subject has written to; ``copies`` are how they were."""
    return [
        f"{name} was written to: forward and backward must leave their arguments alone"
        for tensors, kept in zip(groups, copies, strict=True)
        for name, tensor in tensors.items()
        if not torch.equal(tensor, kept[name])
    ]


def restless(point: Point) -> list[str]:
    """Outputs that are not numbers, or change their shapes from call to call."""
    first, last = (
        {n: _plain(o.shape) for n, o in call.items()}
        for call in (point.outputs[0], point.outputs[-1])
    )
    complaints = [
        f"{name} holds NaN: a derivative needs a point where the function has a value"
        for name, output in judged_outputs(point.outputs[0]).items()
        if bool(output.isnan().any())
    ]
    if first != last:
        complaints.append(
            f"outputs have shapes {first} in one call and {last} in another, for the same tensors:"
            " forward must not depend on earlier calls"
        )
    return complaints


def misfits(point: Point, tensors: Tensors, wrt: Sequence[str] | None) -> list[str]:
    """Gradients that are missing, or do not look like their tensors."""
    complaints = []
    for name in wrt or tensors:
        gradient: object = point.gradients[0].get(name)
        if gradient is None:
            if wrt is not None:
                complaints.append(f"{name} gets no gradient")
            continue
        if not isinstance(gradient, Tensor):
            kind = type(gradient).__name__
            complaints.append(f"{name} gradient is a {kind}: backward must return a tensor")
            continue
        for what in ("shape", "dtype"):
            its, expected = getattr(gradient, what), getattr(tensors[name], what)
            if its != expected:
                complaints.append(
                    f"{name} gradient has {what} {_plain(its)}, its tensor {_plain(expected)}"
                )
    return complaints


def _plain(value: object) -> str:
    return str(list(value)) if isinstance(value, torch.Size) else str(value)


def disagreements(point: Point, first: Tensor, name: str) -> list[str]:
    """Whether forward gives the ``first`` values again, also for plain copies of its tensors."""
    again = flatten(point.outputs[-1])
    tensors = (*point.inputs.values(), *point.parameters.values())
    if _same(first, again) and all(tensor.is_contiguous() for tensor in tensors):
        return []
    evaluator = point.prepare(name)
    error = 2 * point.error_at_base(name)
    # what differs from call to call is part of the noise that was estimated, so it does not count
    u = unit_roundoff(point.tensor(name).dtype)
    rounding = PLAUSIBLE_NOISE * u * first.abs().nan_to_num(0.0, 0.0).max() if len(first) else error
    for other, allowed, when in (
        (again, torch.minimum(error, rounding), "called again with the same tensors"),
        (evaluator.base, error, "called with contiguous copies of the same tensors"),
    ):
        if not _same(first, other, allowed):
            largest = (first - other).abs().nan_to_num(torch.inf).max().item()
            return [f"forward {when} gives other values, off by up to {largest:.4g}"]
    return []


def left_out(point: Point) -> list[str]:
    """Whether a backward of autograd's takes an output without cotangent for one with zeros.

    A loss that does not use an output leaves its cotangent undefined (None in the backward of an
    ``autograd.Function`` that asks for it by ``set_materialize_grads(False)``).
    """
    subject = point.question.subject
    cotangent = point.question.cotangents[0]
    by_autograd = isinstance(subject, AutogradSubject) and "double_backward" in subject.offers
    if not by_autograd or len(cotangent) < 2:
        return []
    for name in list(cotangent)[:_OUTPUTS_ALONE]:
        alone = {name: cotangent[name]}
        zeros = {n: torch.zeros_like(c) for n, c in cotangent.items()}
        point.question.forward(point.inputs, point.parameters)
        expected = subject.vjp({**zeros, **alone})
        point.question.forward(point.inputs, point.parameters)
        rest = [other for other in cotangent if other != name]
        try:
            got = subject.vjp(alone)
        except Exception as error:
            return [
                f"backward without a cotangent of {rest} raised {type(error).__name__}: {error};"
                " None stands for zeros there"
            ]
        for tensor, gradient in expected.items():
            reach = gradient.abs().max() if gradient.numel() else 0.0
            allowed = PLAUSIBLE_NOISE * unit_roundoff(gradient.dtype) * reach
            if not _same(gradient, got[tensor], allowed):
                return [
                    f"{tensor} gradient is another one without a cotangent of {rest} than with"
                    " zeros for it"
                ]
    return []


def _same(one: Tensor, other: Tensor, allowed: float | Tensor = 0.0) -> bool:
    """Equal within ``allowed``; NaN equals NaN, and an infinity itself."""
    if torch.equal(one, other):
        return True
    equal = (one == other) | (one.isnan() & other.isnan()) | ((one - other).abs() <= allowed)
    return bool(equal.all())
