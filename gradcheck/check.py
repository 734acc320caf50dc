"""check_gradients: is what this backward returns the derivative of what this forward computes?"""

import cmath
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gradcheck.differences.classes import Basis
from gradcheck.differences.errors import EvaluationError
from gradcheck.differences.evaluation import flatten, judged_outputs
from gradcheck.differences.lines import miss_probability, signed_integers
from gradcheck.reporting.progress import Progress
from gradcheck.reporting.report import GradientReport, Method
from gradcheck.subjects import LayerSubject, Subject, as_subject
from gradcheck.subjects.complex_numbers import RealViews, as_real
from gradcheck.subjects.memory import putting_back
from gradcheck.subjects.protocol import Tensors
from gradcheck.subjects.recognition import arranged
from gradcheck.verdicts.complaints import changes, disagreements, left_out, misfits, restless
from gradcheck.verdicts.judging import Verdict, judge_all
from gradcheck.verdicts.modes import Judged
from gradcheck.verdicts.narrow import NarrowPoint, is_narrow
from gradcheck.verdicts.points import Point, Question

_STRENGTH: tuple[Basis, ...] = ("exact", "derived", "estimated")
_DRAWN_COTANGENTS = 2
_COTANGENT_BITS = 8  # two of them miss a fault that depends on the outputs once in 2^16


def check_gradients(
    f: Subject | Callable[..., Any] | object,
    *arguments: Any,
    inputs: Tensors | None = None,
    parameters: Tensors | None = None,
    wrt: Sequence[str] | None = None,
    cotangents: Mapping[str, Tensor | None] | None = None,
    evaluation_error: EvaluationError | None = None,
    analytic_error: Tensors | None = None,
    batch_axis: Literal[0] | None = None,
    method: Literal["auto"] | Method = "auto",
    seed: int = 0,
    progress: bool | Callable[[str], object] = False,
) -> GradientReport:
    """Judge a subject's gradients against finite differences, every verdict within a bound.

    Args:
        f: a function, an ``nn.Module``, an ``autograd.Function``, a pair ``(f, vjp)``, a
            hand-written layer with forward and backward, or a ``Subject``.
        *arguments: the inputs by position, in any memory layout; float64 and float32 tensors are
            judged, 16-bit ones against the same code in float64, complex ones as real and imaginary
            parts (a last axis of 2), integer ones passed on. Tuples, lists and mappings of tensors
            have them judged by their paths (``state[0]``); anything else is passed on as it is.
        inputs: the inputs by name, instead of ``arguments``.
        parameters: parameter values by name; by default the subject's own.
        wrt: names of the tensors to judge; by default every floating one that gets a gradient.
        cotangents: by output name, of the outputs' shapes, in any memory layout, None for zeros; by
            default two of random integers.
        evaluation_error: ``(inputs, parameters) -> bound on |fl(f) - f|`` by output name, each of
            its output's shape. Without it the noise of ``f`` is estimated.
        analytic_error: for the given ``cotangents``, a bound on the rounding error of every
            gradient, by name, each of its tensor's shape. Without it that error is estimated.
        batch_axis: 0 says that all inputs and outputs hold independent samples along axis 0, so
            that many points can share a call; by default a probe finds out.
        method: "full" judges every entry, "projection" random directions; "auto" takes entries
            where they are few, and always to name the wrong ones.
        seed: of the directions and cotangents; the same seed draws the same.
        progress: a function that is given a line of text once a second, or True for lines on
            stderr.

    Returns:
        A report with ``ok``, ``mismatches``, ``undecided``, ``basis``, ``raise_for_failure()``. The
        arguments, the subject's parameters, its gradients and torch's random state are as before,
        also after an exception.

    Raises:
        TypeError: ``f`` cannot be judged, or, on 16-bit tensors, does not run in float64.
        ValueError: a value is not finite; names or arguments do not belong together.
    """
    subject = as_subject(f)
    if inputs is None:
        subject, inputs = arranged(subject, arguments)
    elif arguments:
        raise ValueError(
            f"{len(arguments)} inputs are given by position and {sorted(inputs)} by name: use one"
        )
    parameters = own_parameters(subject) if parameters is None else parameters
    tensors = {**inputs, **parameters}
    _require_judgeable(tensors, wrt)
    if analytic_error is not None and cotangents is None:
        raise ValueError(
            "analytic_error is given without cotangents: the bound belongs to one cotangent;"
            " pass that as cotangents"
        )
    generator, calls = torch.Generator().manual_seed(seed), Progress(progress, subject.name)
    restoring = subject.restoring() if isinstance(subject, LayerSubject) else None
    with (
        torch.random.fork_rng(devices=[]),
        restoring or contextlib.nullcontext(),
        putting_back(tensors) as copies,
    ):
        outputs = subject.forward(inputs, parameters)
        calls.called()
        complex_names = frozenset(n for n, t in tensors.items() if t.is_complex())
        if complex_names or any(output.is_complex() for output in outputs.values()):
            subject = RealViews(subject, complex_names)
            copies = as_real(copies)
            inputs, parameters = as_real(inputs), as_real(parameters)
            outputs = subject.forward(inputs, parameters)
            calls.called()
            if cotangents is not None:
                defined = {n: c for n, c in cotangents.items() if c is not None}
                cotangents = {**cotangents, **as_real(defined)}
        if cotangents is None:
            asked, hidden = draw_cotangents(outputs, generator)
        else:
            asked, hidden = (_matching(cotangents, outputs),), 0.0
        question = Question(
            subject,
            asked,
            evaluation_error,
            analytic_error,
            batch_axis == 0,
            generator,
            hidden,
            calls,
        )
        # bounds and cotangents that were given belong to the given point
        own = cotangents is None and evaluation_error is None
        return _answer(question, inputs, parameters, copies, outputs, wrt, method, own)


def _answer(
    question: Question,
    inputs: Tensors,
    parameters: Tensors,
    copies: Tensors,
    outputs: Tensors,
    wrt: Sequence[str] | None,
    method: Literal["auto"] | Method,
    may_move: bool,
) -> GradientReport:
    """Complaints if there are any, else the verdict on every gradient.

    ``copies`` are all tensors as they were before the first call, ``outputs`` those of the latest;
    ``may_move`` allows other points and cotangents.
    """
    name, generator = question.subject.name, question.generator
    tensors = {**inputs, **parameters}
    kept = [{n: t.clone() for n, t in cotangent.items()} for cotangent in question.cotangents]
    narrow = is_narrow(tensors)
    first = flatten(outputs)
    # with one cotangent, a call of its own shows whether forward repeats
    latest = outputs if len(question.cotangents) > 1 else None
    point = (NarrowPoint if narrow else Point)(question, inputs, parameters, latest)
    written = changes((tensors, *question.cotangents), (copies, *kept))
    complaints = written + restless(point) + misfits(point, tensors, wrt)
    judged = [name for name in wrt or tensors if name in point.gradients[0]]
    if not complaints and judged:
        complaints = disagreements(point, first, judged[0]) + left_out(point)
    if complaints:
        return GradientReport(name, (), tuple(complaints), point.basis, ())
    exactly = may_move and not narrow  # 16 bits leave no room for exact sums
    verdicts: list[Verdict] = []
    by_mode = Judged()
    if judged:
        verdicts, by_mode = judge_all(point, judged, method, generator, exactly, may_move)
    weakest = max((basis for _, basis in verdicts), key=_STRENGTH.index, default=point.basis)
    others = [n for n, t in tensors.items() if t.is_floating_point() and n not in judged]
    return GradientReport(
        subject=name,
        tensors=tuple(report for report, _ in verdicts),
        complaints=(),
        basis=weakest,
        not_judged=tuple(others),
        modes=by_mode.modes,
        modes_refused=by_mode.refused,
    )


def own_parameters(subject: Subject) -> Tensors:
    """A module's or layer's own parameters; a function has none."""
    own: Callable[[], Tensors] | None = getattr(subject, "parameters", None)
    return {} if own is None else own()


def _require_judgeable(tensors: Tensors, wrt: Sequence[str] | None) -> None:
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} is a {type(tensor).__name__}: inputs by name are tensors")
        if not tensor.is_floating_point() and not tensor.is_complex():
            continue
        if tensor.is_complex() and is_narrow({name: tensor.real}):
            raise TypeError(
                f"{name} has dtype {tensor.dtype}: complex64 and complex128 can be judged; convert"
                " the inputs and the parameters"
            )
        total = tensor.sum().item()  # finite only if every number is; it may also overflow
        if not cmath.isfinite(total) and not bool(tensor.isfinite().all()):
            raise ValueError(
                f"{name} holds values that are not finite: a derivative needs a finite point"
            )
    unknown = [name for name in wrt or () if name not in tensors]
    if unknown:
        raise ValueError(f"wrt names {unknown}: the tensors are {list(tensors)}")


def draw_cotangents(
    outputs: Tensors, generator: torch.Generator
) -> tuple[tuple[Tensors, ...], float]:
    """Random signed integers for every floating output; 1 for a single number.

    Also how often, at most, an error hides from them.
    The last does not lie contiguous in memory, as happens behind a transpose.
    """
    floating = judged_outputs(outputs)
    if not floating:
        dtypes = sorted({str(output.dtype) for output in outputs.values()})
        raise TypeError(f"the outputs have dtypes {dtypes}: one floating output is needed")
    if sum(output.numel() for output in floating.values()) == 1:
        return ({name: torch.ones_like(output) for name, output in floating.items()},), 0.0
    # sums of integers would overflow float16
    unit = 2.0**-_COTANGENT_BITS if is_narrow(floating) else 1.0
    drawn = [
        {
            name: signed_integers(tuple(o.shape), _COTANGENT_BITS, generator).mul_(unit).to(o)
            for name, o in floating.items()
        }
        for _ in range(_DRAWN_COTANGENTS)
    ]
    drawn[-1] = {name: _spread_out(cotangent) for name, cotangent in drawn[-1].items()}
    return tuple(drawn), miss_probability(_COTANGENT_BITS, _DRAWN_COTANGENTS)


def _spread_out(tensor: Tensor) -> Tensor:
    """The same numbers in every second place in memory, with the axes the other way round."""
    memory = tensor.new_zeros(*reversed(tensor.shape), 2)
    spread = memory[..., 0].permute(tuple(reversed(range(tensor.dim()))))
    return spread.copy_(tensor)


def _matching(cotangents: Mapping[str, Tensor | None], outputs: Tensors) -> Tensors:
    """The given cotangents in the order of the outputs, zeros for None.

    ValueError where they do not fit the outputs.
    """
    floating = judged_outputs(outputs)
    shapes = {name: tuple(output.shape) for name, output in floating.items()}
    given = {
        name: shapes.get(name) if cotangent is None else tuple(cotangent.shape)
        for name, cotangent in cotangents.items()
    }
    if given != shapes:
        raise ValueError(
            f"cotangents have shapes {given}, the floating outputs {shapes}: give one for each,"
            " None for zeros"
        )
    chosen = ((name, cotangents[name], output) for name, output in floating.items())
    return {name: torch.zeros_like(o) if c is None else c for name, c, o in chosen}
