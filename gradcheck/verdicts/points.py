"""A subject at one point: its gradients there, and their comparison with differences.

The gradient g = vjp(c) is right if, along every direction d, g . d equals the derivative of <c, f>.
The bound has four parts: the numerical entries' own bounds weighted by |c|; the rounding of the
analytic side, given or estimated; and the rounding of both sums here.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from gradcheck.differences.classes import ROOM, Basis, Estimate, Kind
from gradcheck.differences.errors import (
    ErrorBound,
    EvaluationError,
    derived_error,
    error_at_base,
    estimated_error,
    with_jumps,
)
from gradcheck.differences.evaluation import (
    CHUNK_ELEMENTS,
    Evaluator,
    Shared,
    as_double,
    flatten,
    power_of_two_near,
)
from gradcheck.differences.jacobians import jacobian_along
from gradcheck.differences.ladder import Claim, climb_down
from gradcheck.differences.lines import Lines
from gradcheck.reporting.progress import Progress
from gradcheck.reporting.report import Where
from gradcheck.rounding import (
    ANALYTIC_SAFETY,
    PLAUSIBLE_NOISE,
    gamma,
    significand_bits,
    underflow,
    unit_roundoff,
)
from gradcheck.subjects import Subject
from gradcheck.subjects.protocol import Tensors
from gradcheck.verdicts.comparison import Comparison


@dataclass(frozen=True)
class Agreement:
    """A comparison at ``point`` in which nothing is wrong.

    It is along L random lines, on which tensors move together: ``steps`` are [L, *shape] of each.
    """

    point: "Point"
    steps: Tensors
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

    @cached_property
    def weights(self) -> Tensor:
        """The cotangents of all floating outputs, [cotangents, M] float64."""
        return torch.stack([flatten(cotangent) for cotangent in self.cotangents])

    def forward(self, inputs: Tensors, parameters: Tensors) -> Tensors:
        """One more forward of the subject."""
        outputs = self.subject.forward(inputs, parameters)
        self.progress.called()
        return outputs


@dataclass
class Seen:
    """What is known of a subject around a point.

    Its noise, how points share a call, and the size of a tensor's numbers, a power of two.
    """

    noise: ErrorBound | None = None
    units: dict[str, float] = field(default_factory=dict)
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
            outputs = latest or question.forward(inputs, parameters)
            latest = None
            # copies: a layer may write its next result into the same memory
            self.outputs.append({name: output.clone() for name, output in outputs.items()})
            gradients = question.subject.vjp(cotangent)
            self.gradients.append({n: _copied(gradient) for n, gradient in gradients.items()})
        self.dtype = coarsest({**inputs, **parameters})
        self.weights = question.weights
        self._evaluator: Evaluator | None = None
        self._errors: dict[str, ErrorBound] = {}
        self._flat_gradients: dict[str, Tensor] = {}
        self._in_doubt: Point | None = None

    def at(self, tensors: Tensors, seen: Seen | None = None) -> "Point":
        """The same question at another point."""
        inputs = {name: tensors[name] for name in self.inputs}
        parameters = {name: tensors[name] for name in self.parameters}
        return type(self)(self.question, inputs, parameters, seen=seen)

    def in_doubt(self) -> "Point":
        """The same with all the noise that can be found, for what seems to be wrong."""
        if self.question.evaluation_error is not None:
            return self
        if self._in_doubt is None:
            evaluator, generator = self.evaluator, self.question.generator
            noise = self.seen.noise or estimated_error(evaluator, generator)
            self._in_doubt = same = copy.copy(self)
            same.seen = replace(self.seen, noise=with_jumps(noise, evaluator, generator))
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

    @property
    def evaluator(self) -> Evaluator:
        """The subject at this point, ready to be moved."""
        if self._evaluator is None:
            self._evaluator = self.new_evaluator()
        return self._evaluator

    def prepare(self, name: str) -> Evaluator:
        """The evaluator, which from then on knows how points of ``name`` share calls."""
        evaluator = self.evaluator
        if self.is_analysed:
            evaluator.probe_sharing(name, self.error_at_base(name))
        else:
            evaluator.probe_sharing(name, self._plausible_error())
        return evaluator

    def new_evaluator(self) -> Evaluator:
        """The subject at this point."""
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
        return error_at_base(self.evaluator, self._error(name))

    def _plausible_error(self) -> Tensor:
        """What looks like rounding of the values here, [M]."""
        base = self.evaluator.base
        reach = base.abs().max() if len(base) else base.new_zeros(())
        return (PLAUSIBLE_NOISE * unit_roundoff(self.dtype) * reach).expand_as(base)

    def unit(self, name: str) -> float:
        """The size of a tensor's numbers, a power of two."""
        if name not in self.seen.units:
            self.seen.units[name] = power_of_two_near(self.tensor(name))
        return self.seen.units[name]

    @property
    def agrees_simply(self) -> bool:
        """Whether to ask first if gradients fit differences: not where an analysis says more."""
        return not self.is_analysed

    @property
    def is_analysed(self) -> bool:
        """Whether an error analysis is given, of either side."""
        asked = self.question
        return asked.evaluation_error is not None or asked.analytic_error is not None

    def analytic(self, name: str, lines: Lines) -> Tensor:
        """The gradients' side, g . d, [cotangents, lines] float64."""
        return lines.products(self._gradient(name))

    def claim(self, lines: Mapping[str, Lines], scale: float) -> Claim:
        """What the gradients say of the slopes along ``scale`` times ``lines``.

        Along each of these all tensors move together, so there are as many in every tensor.
        """
        slopes, landing, sizes = [], [], []
        for name, its in lines.items():
            gradient = self._gradient(name)
            slopes.append(its.products(gradient))
            sizes.append(self.unit(name) * its.norms(gradient))
            landing.append(its.norms(gradient * as_double(self.tensor(name)).flatten()))
        return Claim(
            scale * torch.stack(slopes).sum(0),
            self.weights,
            self.values,
            torch.stack(landing),
            torch.stack(sizes),
            self.dtype,
            max(self.unit(name) for name in lines),
        )

    def reach(self, names: Iterable[str]) -> Tensor:
        """The largest that values and gradients may add up to, [cotangents]."""
        sums = self.weights.abs() @ self.values.abs()
        return sums + sum(self.unit(name) * self._gradient(name).abs().sum(1) for name in names)

    def _probed(
        self, name: str, lines: Lines, steps: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """f(x + t d) and f(x - t d) for all ``steps`` t along ``chosen`` lines, [S, P, M] each.

        Steps are in units of the tensor.
        """
        directions = (lines if len(chosen) == len(lines) else lines.where(chosen)).directions
        offsets = self.unit(name) * torch.cat([steps, -steps])
        ahead, back = self.prepare(name).values_on(name, directions, offsets).chunk(2)
        return ahead, back

    def compare(self, name: str, lines: Lines, thorough: bool = False) -> Comparison:
        """Both sides along all lines; ``thorough`` tries every step (see ``jacobian_along``).

        Else only those are looked at in detail along which the gradients do not simply agree.
        """
        got = self.analytic(name, lines)
        outputs = self.weights.shape[1]
        if outputs == 0 or len(lines) == 0:  # nothing comes out: every derivative is exactly zero
            nothing = torch.zeros_like(got)
            return Comparison(nothing, got, nothing, nothing != 0, "derived")
        rows = max(1, CHUNK_ELEMENTS // (lines.shape.numel() + ROOM * outputs))
        simply = self.agrees_simply and not thorough
        parts = []
        for number, some in enumerate(lines.parts(rows)):
            self.question.progress.at(name, number * rows, len(lines))
            found = self._simply(name, some) if simply else self._in_detail(name, some, thorough)
            parts.append(found)
        return Comparison(
            torch.cat([part.expected for part in parts], 1),
            got,
            torch.cat([part.bound for part in parts], 1),
            torch.cat([part.kinked for part in parts], 1),
            "derived" if all(part.basis == "derived" for part in parts) else "estimated",
        )

    def _simply(self, name: str, lines: Lines) -> Comparison:
        """What agrees as it is, and the rest in detail."""
        unit, got = self.unit(name), self.analytic(name, lines)
        agreed = climb_down(self.claim({name: lines}, unit), partial(self._probed, name, lines))
        kinked = torch.zeros_like(got, dtype=torch.bool)
        comparison = Comparison(agreed.value / unit, got, agreed.bound / unit, kinked, "estimated")
        rest = ~agreed.lines
        if not bool(rest.any()):
            return comparison
        return comparison.replaced(rest, self._in_detail(name, lines.where(rest), False))

    def _in_detail(self, name: str, lines: Lines, thorough: bool) -> Comparison:
        """Every output along every line, with a class and a bound for each."""
        evaluator, error = self.prepare(name), self._error(name)
        found = jacobian_along(evaluator, name, lines.directions, error, self.basis, thorough)
        return self._compared(name, found, lines.directions, self.analytic(name, lines))

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

    @cached_property
    def values(self) -> Tensor:
        """All outputs as the first call gave them, [M] float64."""
        return flatten(self.outputs[0])

    def _gradient(self, name: str) -> Tensor:
        if name not in self._flat_gradients:
            parts = [as_double(gradient[name].detach()).flatten() for gradient in self.gradients]
            self._flat_gradients[name] = torch.stack(parts)
        return self._flat_gradients[name]

    def _error(self, name: str) -> ErrorBound:
        analysis = self.question.evaluation_error
        if analysis is not None:
            if name not in self._errors:
                self._errors[name] = derived_error(analysis, self.evaluator, name)
            return self._errors[name]
        if self.seen.noise is None:  # one for all tensors: the noise is the outputs'
            self.seen.noise = estimated_error(self.evaluator, self.question.generator)
        return self.seen.noise


def _copied(gradient: Tensor) -> Tensor:
    # what is no tensor is a complaint, and not this place's
    return gradient.clone() if isinstance(gradient, Tensor) else gradient


def coarsest(tensors: Tensors) -> torch.dtype:
    """The floating dtype with the fewest bits."""
    dtypes = (tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
    return min(dtypes, key=significand_bits)
