"""The numerical side against the analytic one, at one point: two numbers and a bound per line.

The gradient g = vjp(c) is right if, along every direction d, g . d equals the derivative of <c, f>.
The bound has four parts: the numerical entries' own bounds weighted by |c|; the rounding of the
analytic side, given or estimated; and the rounding of both sums here.
"""

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from gradcheck.differences.classes import ROOM, Basis, Estimate, Kind
from gradcheck.differences.colouring import Colouring, coloured
from gradcheck.differences.errors import (
    ErrorBound,
    EvaluationError,
    derived_error,
    error_at_base,
    estimated_error,
    with_jumps,
)
from gradcheck.differences.evaluation import CHUNK_ELEMENTS, Evaluator, Shared, as_double, flatten
from gradcheck.differences.jacobians import jacobian_along, step_sizes
from gradcheck.differences.lines import Lines, random_lines
from gradcheck.reporting.progress import Progress
from gradcheck.reporting.report import Where
from gradcheck.rounding import ANALYTIC_SAFETY, gamma, underflow, unit_roundoff
from gradcheck.subjects import Subject
from gradcheck.subjects.protocol import Tensors


@dataclass(frozen=True)
class Comparison:
    """Numerical and analytic derivative of <c, f> along lines, each [cotangents, lines].

    ``kinked`` says where a kink was seen, so that the bound spans the slopes on both sides.
    """

    expected: Tensor
    got: Tensor
    bound: Tensor
    kinked: Tensor
    basis: Basis

    @cached_property
    def undecided(self) -> Tensor:
        """Where no bound was found."""
        return ~self.bound.isfinite()

    @cached_property
    def wrong(self) -> Tensor:
        """Where the difference exceeds its bound, or is not a number."""
        within = (self.got - self.expected).abs() <= self.bound
        return ~within & ~self.undecided

    def part(self, lines: slice) -> "Comparison":
        """The same along some of the lines."""
        return Comparison(
            self.expected[:, lines],
            self.got[:, lines],
            self.bound[:, lines],
            self.kinked[:, lines],
            self.basis,
        )

    def replaced(self, lines: Tensor, better: "Comparison") -> "Comparison":
        """The same with those lines for which ``lines`` [L] holds taken from ``better``."""

        def merged(ours: Tensor, theirs: Tensor) -> Tensor:
            return ours.index_copy(1, lines.nonzero()[:, 0], theirs)

        return Comparison(
            merged(self.expected, better.expected),
            merged(self.got, better.got),
            merged(self.bound, better.bound),
            merged(self.kinked, better.kinked),
            better.basis,
        )


@dataclass(frozen=True)
class Agreement:
    """A comparison along random ``lines`` at ``point`` in which nothing is wrong."""

    point: "Point"
    name: str
    lines: Lines
    comparison: Comparison
    where: Where


@dataclass(frozen=True)
class Question:
    """What is asked at every point: whose gradients, for which cotangents, with which analysis."""

    subject: Subject
    cotangents: tuple[Tensors, ...]
    evaluation_error: EvaluationError | None
    analytic_error: Tensors | None
    told_stacked: bool
    generator: torch.Generator
    may_miss: float
    progress: Progress


@dataclass
class Seen:
    """What is known of a subject around a point: its noise, and how points share a call.

    It is ``curved`` where no long step in a random direction fits the gradient.
    """

    noise: ErrorBound | None = None
    curved: bool = False
    sharing: dict[str, Shared | None] = field(default_factory=dict)


class Point:
    """A subject at one point with its gradients for some cotangents.

    The gradients are of the tensors as they are given, whatever their memory layout, each from a
    backward right after a forward of its own. ``latest`` are the outputs of such a forward, if it
    was the subject's latest call. ``seen`` is what is known from a point close by.
    """

    def __init__(
        self,
        question: Question,
        inputs: Tensors,
        parameters: Tensors,
        latest: Tensors | None = None,
        seen: Seen | None = None,
    ) -> None:
        self.question, self.inputs, self.parameters = question, inputs, parameters
        self.seen = Seen() if seen is None else seen
        self.outputs: list[dict[str, Tensor]] = []
        self.gradients: list[dict[str, Tensor]] = []
        for cotangent in question.cotangents:
            outputs = latest or question.subject.forward(inputs, parameters)
            latest = None
            # copies: a layer may write its next result into the same memory
            self.outputs.append({name: output.clone() for name, output in outputs.items()})
            gradients = question.subject.vjp(cotangent)
            self.gradients.append({n: _copied(gradient) for n, gradient in gradients.items()})
        self.weights = torch.stack([flatten(c) for c in question.cotangents])
        self._evaluator: Evaluator | None = None
        self._errors: dict[str, ErrorBound] = {}
        self._in_doubt: Point | None = None

    def at(self, tensors: Tensors, seen: Seen | None = None) -> "Point":
        """The same question at another point."""
        inputs = {name: tensors[name] for name in self.inputs}
        parameters = {name: tensors[name] for name in self.parameters}
        return type(self)(self.question, inputs, parameters, seen=seen)

    def through(self, subject: Subject, inputs: Tensors, gradients: list[Tensors]) -> "Point":
        """The same values and gradients, seen as those of a ``subject`` with other inputs."""
        same = copy.copy(self)
        same.question = replace(self.question, subject=subject)
        same.inputs, same.parameters = inputs, {}
        same.gradients = [dict(gradient) for gradient in gradients]
        same._evaluator, same._errors, same._in_doubt = None, {}, None
        return same

    def in_doubt(self) -> "Point":
        """The same with all the noise that can be found, for what seems to be wrong."""
        if self.question.evaluation_error is not None:
            return self
        if self._in_doubt is None:
            evaluator, generator = self._evaluator or self.new_evaluator(), self.question.generator
            noise = self.seen.noise or estimated_error(evaluator, generator)
            self._in_doubt = same = copy.copy(self)
            same.seen = replace(self.seen, noise=with_jumps(noise, evaluator, generator))
            same._errors = {}
        return self._in_doubt

    @property
    def basis(self) -> Basis:
        """Derived only where both sides come with their error analysis."""
        asked = self.question
        derived = asked.evaluation_error is not None and asked.analytic_error is not None
        return "derived" if derived else "estimated"

    def tensor(self, name: str) -> Tensor:
        """The value of an input or parameter."""
        return self.inputs[name] if name in self.inputs else self.parameters[name]

    def prepare(self, name: str) -> Evaluator:
        """The evaluator, which from then on knows the error and the stacking for ``name``."""
        if self._evaluator is None:
            self._evaluator = self.new_evaluator()
        if name not in self._errors:
            self._errors[name] = self._error_bound(self._evaluator, name)
            here = error_at_base(self._evaluator, self._errors[name])
            self._evaluator.probe_sharing(name, here)
        return self._evaluator

    def new_evaluator(self) -> Evaluator:
        """The subject at this point, ready to be moved."""
        asked = self.question
        tensors = (*self.inputs.values(), *self.parameters.values())
        known = self.outputs[0] if all(tensor.is_contiguous() for tensor in tensors) else None
        return Evaluator(
            asked.subject,
            self.inputs,
            self.parameters,
            asked.told_stacked,
            known,
            self.seen.sharing,
            asked.progress.called,
        )

    def error_at_base(self, name: str) -> Tensor:
        """Bound on the error of each output value here, [M]."""
        return error_at_base(self.prepare(name), self._errors[name])

    def analytic(self, name: str, lines: Lines) -> Tensor:
        """The gradients' side, g . d, [cotangents, lines] float64."""
        return lines.products(self._gradient(name))

    def compare(self, name: str, lines: Lines, thorough: bool = False) -> Comparison:
        """Both sides along all lines; ``thorough`` tries every step (see ``jacobian_along``)."""
        got = self.analytic(name, lines)
        outputs = self.weights.shape[1]
        if outputs == 0 or len(lines) == 0:  # nothing comes out: every derivative is exactly zero
            nothing = torch.zeros_like(got)
            return Comparison(nothing, got, nothing, nothing != 0, "derived")
        every = lines.dense is None and len(lines) == lines.shape.numel()
        colouring = None
        if every and not thorough:
            evaluator = self.prepare(name)
            step = step_sizes(evaluator.tensor(name))[0]
            error = error_at_base(evaluator, self._errors[name])
            colouring = coloured(evaluator, name, step, error)
        comparison = self._assembled(name, lines, got, thorough, colouring)
        if colouring is not None:  # what the colours overlooked shows in random directions
            random = random_lines(self.tensor(name), self.question.generator)
            if bool(self.compare(name, random).wrong.any()):
                return self._assembled(name, lines, got, thorough, None)
        return comparison

    def _assembled(
        self, name: str, lines: Lines, got: Tensor, thorough: bool, colouring: Colouring | None
    ) -> Comparison:
        """Both sides along all lines, a bounded number of them at a time."""
        evaluator, basis = self.prepare(name), self.basis
        error = self._errors[name]
        found: Estimate | None = None
        if colouring is not None:
            directions, owners = colouring.directions(lines.shape), colouring.owners()
            found = jacobian_along(evaluator, name, directions, error, basis, owners=owners)
        rows = max(1, CHUNK_ELEMENTS // (lines.shape.numel() + ROOM * self.weights.shape[1]))
        # the longest step is for what is straight, and random directions of a curved map are not
        first = int(self.seen.curved and lines.dense is not None and not thorough)
        parts = []
        for start, directions in lines.chunks(rows):
            self.question.progress.at(name, start, len(lines))
            end = start + len(directions)
            if colouring is None or found is None:
                part = jacobian_along(evaluator, name, directions, error, basis, thorough, first)
            else:
                part = colouring.apart(found, slice(start, end))
            parts.append(self._compared(name, part, directions, got[:, start:end]))
        return Comparison(
            torch.cat([part.expected for part in parts], 1),
            got,
            torch.cat([part.bound for part in parts], 1),
            torch.cat([part.kinked for part in parts], 1),
            "derived" if all(part.basis == "derived" for part in parts) else "estimated",
        )

    def _compared(self, name: str, found: Estimate, directions: Tensor, got: Tensor) -> Comparison:
        """``got`` against the numerical side ``found`` along ``directions`` [L, *shape]."""
        weights, sizes = self.weights, self.weights.abs()
        unknown = found.bound.isinf()
        value = torch.where(unknown, 0.0, found.value)
        bound = sizes @ torch.where(unknown, 0.0, found.bound).T
        bound = bound + self.analytic_rounding(name, found, directions)
        bound = bound + self._summation(name, value, directions)
        expected = weights @ value.T
        used = (sizes > 0).to(torch.float64)
        undecided = used @ unknown.to(torch.float64).T > 0
        # where the derivative itself overflows the type, no gradient could hold it
        undecided |= expected.abs() + bound >= torch.finfo(self.gradients[0][name].dtype).max
        kinked = used @ (found.kind == Kind.KINK).to(torch.float64).T > 0
        smooth = bool((found.kind == Kind.SMOOTH).any())  # its truncation is only estimated
        basis: Basis = "estimated" if smooth else self.basis
        return Comparison(expected, got, torch.where(undecided, torch.inf, bound), kinked, basis)

    def _summation(self, name: str, value: Tensor, directions: Tensor) -> Tensor:
        """Rounding of the two sums that are compared, [cotangents, lines]."""
        double = unit_roundoff(torch.float64)
        lengths = directions.reshape(len(directions), -1).abs().to(torch.float64)
        terms = (lengths != 0).sum(1)
        outputs = gamma(value.shape[1], double) * (self.weights.abs() @ value.abs().T)
        finite = self._gradient(name).abs().nan_to_num(0.0, 0.0)  # an infinite one excuses nothing
        return outputs + gamma(terms, double) * (finite @ lengths.T)

    def analytic_rounding(self, name: str, numerical: Estimate, directions: Tensor) -> Tensor:
        """How far the analytic side may be off by its own rounding, [cotangents, lines].

        Given: the bounds of the entries along the line. Otherwise estimated: what the evaluation
        loses per unit of step, and a sum over the outputs.
        """
        given = self.question.analytic_error
        if given is not None:
            entries = given[name].flatten().to("cpu", torch.float64)
            return (directions.reshape(len(directions), -1).abs().to(torch.float64) @ entries)[None]
        dtype = self.tensor(name).dtype
        sizes = self.weights.abs()
        counted = (numerical.value != 0).to(torch.float64)
        terms = (sizes > 0).to(torch.float64) @ counted.T + 1
        return (
            ANALYTIC_SAFETY * (sizes @ numerical.noise.T)
            + gamma(terms, unit_roundoff(dtype)) * (sizes @ numerical.value.abs().T)
            + underflow(terms, dtype)
        )

    def _gradient(self, name: str) -> Tensor:
        return torch.stack([as_double(g[name].detach()).flatten() for g in self.gradients])

    def _error_bound(self, evaluator: Evaluator, name: str) -> ErrorBound:
        analysis = self.question.evaluation_error
        if analysis is not None:
            return derived_error(analysis, evaluator, name)
        if self.seen.noise is None:  # one for all tensors: the noise is the outputs'
            self.seen.noise = estimated_error(evaluator, self.question.generator)
        return self.seen.noise


def _copied(gradient: Tensor) -> Tensor:
    # what is no tensor is a complaint, and not this place's
    return gradient.clone() if isinstance(gradient, Tensor) else gradient
