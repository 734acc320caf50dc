"""check_gradients: is what this backward returns the derivative of what this forward computes?"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gradcheck.comparison import Point, Question
from gradcheck.errors import EvaluationError, Tensors
from gradcheck.evaluation import flatten, judged_outputs
from gradcheck.exactness import exact_point
from gradcheck.jacobians import Basis
from gradcheck.judging import judge_all
from gradcheck.lines import miss_probability, signed_integers
from gradcheck.report import GradientReport, Method
from gradcheck.rounding import PLAUSIBLE_NOISE, unit_roundoff
from gradcheck.subjects import LayerSubject, Subject, arranged, as_subject

_STRENGTH: tuple[Basis, ...] = ("exact", "derived", "estimated")
_DRAWN_COTANGENTS = 2
_COTANGENT_BITS = 8  # two of them miss a fault that depends on the outputs once in 2^16


def check_gradients(
    f: Subject | Callable[..., Any] | object,
    *arguments: Any,
    inputs: Tensors | None = None,
    parameters: Tensors | None = None,
    wrt: Sequence[str] | None = None,
    cotangents: Tensors | None = None,
    evaluation_error: EvaluationError | None = None,
    analytic_error: Tensors | None = None,
    batch_axis: Literal[0] | None = None,
    method: Literal["auto"] | Method = "auto",
    seed: int = 0,
) -> GradientReport:
    """Judge a subject's gradients against finite differences, every verdict within a bound.

    Args:
        f: a function, an ``nn.Module``, an ``autograd.Function``, a pair ``(f, vjp)``, a
            hand-written layer with forward and backward, or a ``Subject``.
        *arguments: the inputs by position, in any memory layout; float64 and float32 tensors are
            judged, integer ones passed on. Tuples, lists and mappings of tensors have them judged
            by their paths (``state[0]``); anything else is passed on as it is.
        inputs: the inputs by name, instead of ``arguments``.
        parameters: parameter values by name; by default the subject's own.
        wrt: names of the tensors to judge; by default every floating one that gets a gradient.
        cotangents: by output name, of the outputs' shapes, in any memory layout; by default two of
            random integers.
        evaluation_error: ``(inputs, parameters) -> bound on |fl(f) - f|`` by output name, each of
            its output's shape. Without it the noise of ``f`` is estimated.
        analytic_error: for the given ``cotangents``, a bound on the rounding error of every
            gradient, by name, each of its tensor's shape. Without it that error is estimated.
        batch_axis: 0 says that all inputs and outputs hold independent samples along axis 0, so
            that many points can share a call; by default a probe finds out.
        method: "full" judges every entry, "projection" random directions; "auto" takes entries
            where they are few, and always to name the wrong ones.
        seed: of the directions and cotangents; the same seed draws the same.

    Returns:
        A report with ``ok``, ``mismatches``, ``undecided``, ``basis``, ``raise_for_failure()``. The
        subject's parameters, its gradients and torch's random state are as before, also after an
        exception.

    Raises:
        TypeError: ``f`` cannot be judged, or a floating tensor is neither float64 nor float32.
        ValueError: a value is not finite; names or arguments do not belong together.
    """
    subject = as_subject(f)
    if inputs is None:
        subject, inputs = arranged(subject, arguments)
    elif arguments:
        raise ValueError(
            f"{len(arguments)} inputs are given by position and {sorted(inputs)} by name: use one"
        )
    parameters = _own_parameters(subject) if parameters is None else parameters
    tensors = {**inputs, **parameters}
    _require_judgeable(tensors, wrt)
    if analytic_error is not None and cotangents is None:
        raise ValueError(
            "analytic_error is given without cotangents: the bound belongs to one cotangent;"
            " pass that as cotangents"
        )
    generator = torch.Generator().manual_seed(seed)
    restoring = subject.restoring() if isinstance(subject, LayerSubject) else None
    with torch.random.fork_rng(devices=[]), restoring or contextlib.nullcontext():
        outputs = subject.forward(inputs, parameters)
        asked = (
            _draw_cotangents(outputs, generator)
            if cotangents is None
            else (_matching(cotangents, outputs),)
        )
        single = cotangents is not None or sum(c.numel() for c in asked[0].values()) == 1
        hidden = 0.0 if single else miss_probability(_COTANGENT_BITS, _DRAWN_COTANGENTS)
        copies = [{n: t.clone() for n, t in group.items()} for group in (tensors, *asked)]
        question = Question(
            subject, asked, evaluation_error, analytic_error, batch_axis == 0, generator, hidden
        )
        point = Point(question, inputs, parameters)
        complaints = [
            complaint
            for group, kept in zip((tensors, *asked), copies, strict=True)
            for complaint in _changes(group, kept)
        ]
        complaints += _restless(outputs, point) + _misfits(point, tensors, wrt)
        judged = [name for name in wrt or tensors if name in point.gradients[0]]
        if not complaints and judged:
            complaints += _disagreements(point, flatten(outputs), judged[0])
        if complaints:
            return GradientReport(subject.name, (), tuple(complaints), point.basis, ())
        # bounds and cotangents that were given belong to the given point
        own = cotangents is None and evaluation_error is None
        units = method == "full"
        exact = exact_point(point, judged, generator, units) if own and judged else None
        verdicts = judge_all(point, exact, judged, method, generator, own)
    weakest = max((basis for _, basis in verdicts), key=_STRENGTH.index, default=point.basis)
    others = [n for n, t in tensors.items() if t.is_floating_point() and n not in judged]
    return GradientReport(subject.name, tuple(r for r, _ in verdicts), (), weakest, tuple(others))


def _own_parameters(subject: Subject) -> Tensors:
    """A module's or layer's own parameters; a function has none."""
    own: Callable[[], Tensors] | None = getattr(subject, "parameters", None)
    return {} if own is None else own()


def _require_judgeable(tensors: Tensors, wrt: Sequence[str] | None) -> None:
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} is a {type(tensor).__name__}: inputs by name are tensors")
        if not tensor.is_floating_point() and not tensor.is_complex():
            continue
        if tensor.dtype not in (torch.float64, torch.float32):
            raise TypeError(
                f"{name} has dtype {tensor.dtype}: float64 and float32 can be judged; convert the"
                " inputs and the parameters"
            )
        if not bool(tensor.isfinite().all()):
            raise ValueError(
                f"{name} holds values that are not finite: a derivative needs a finite point"
            )
    unknown = [name for name in wrt or () if name not in tensors]
    if unknown:
        raise ValueError(f"wrt names {unknown}: the tensors are {list(tensors)}")


def _draw_cotangents(outputs: Tensors, generator: torch.Generator) -> tuple[Tensors, ...]:
    """Random signed integers for every floating output; 1 for a single number.

    The last does not lie contiguous in memory, as happens behind a transpose.
    """
    floating = judged_outputs(outputs)
    if not floating:
        dtypes = sorted({str(output.dtype) for output in outputs.values()})
        raise TypeError(f"the outputs have dtypes {dtypes}: one floating output is needed")
    if sum(output.numel() for output in floating.values()) == 1:
        return ({name: torch.ones_like(output) for name, output in floating.items()},)
    drawn = [
        {
            name: signed_integers(tuple(output.shape), _COTANGENT_BITS, generator).to(output)
            for name, output in floating.items()
        }
        for _ in range(_DRAWN_COTANGENTS)
    ]
    drawn[-1] = {name: _spread_out(cotangent) for name, cotangent in drawn[-1].items()}
    return tuple(drawn)


def _spread_out(tensor: Tensor) -> Tensor:
    """The same numbers in every second place in memory, with the axes the other way round."""
    memory = tensor.new_zeros(*reversed(tensor.shape), 2)
    spread = memory[..., 0].permute(tuple(reversed(range(tensor.dim()))))
    return spread.copy_(tensor)


def _matching(cotangents: Tensors, outputs: Tensors) -> Tensors:
    """The given cotangents in the order of the outputs; ValueError where they do not fit them."""
    shapes = {name: tuple(output.shape) for name, output in judged_outputs(outputs).items()}
    given = {name: tuple(cotangent.shape) for name, cotangent in cotangents.items()}
    if given != shapes:
        raise ValueError(
            f"cotangents have shapes {given}, the floating outputs {shapes}: give one for each"
        )
    return {name: cotangents[name] for name in shapes}


def _changes(tensors: Tensors, copies: Tensors) -> list[str]:
    """Which tensors the subject has written to."""
    return [
        f"{name} was written to: forward and backward must leave their arguments alone"
        for name, tensor in tensors.items()
        if not torch.equal(tensor, copies[name])
    ]


def _restless(outputs: Tensors, point: Point) -> list[str]:
    """Outputs that are not numbers, or change their shapes from call to call."""
    complaints = [
        f"{name} holds NaN: a derivative needs a point where the function has a value"
        for name, output in judged_outputs(outputs).items()
        if bool(output.isnan().any())
    ]
    shapes = [{n: _plain(o.shape) for n, o in call.items()} for call in (outputs, *point.outputs)]
    if any(other != shapes[0] for other in shapes):
        complaints.append(
            f"outputs have shapes {shapes[0]} in one call and {shapes[-1]} in another, for the same"
            " tensors: forward must not depend on earlier calls"
        )
    return complaints


def _misfits(point: Point, tensors: Tensors, wrt: Sequence[str] | None) -> list[str]:
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


def _disagreements(point: Point, first: Tensor, name: str) -> list[str]:
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


def _same(one: Tensor, other: Tensor, allowed: float | Tensor = 0.0) -> bool:
    """Equal within ``allowed``; NaN equals NaN, and an infinity itself."""
    equal = (one == other) | (one.isnan() & other.isnan()) | ((one - other).abs() <= allowed)
    return bool(equal.all())
