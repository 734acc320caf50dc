"""Running error analysis is sound: computations in single precision, by whatever algorithm, stay
within the bounds, and the gradients are autograd's. And it is sharp: an error of a hundred units of
roundoff shows in every row.
"""

import math
import statistics

import hypothesis
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given

from verification.cases import LayerCall
from verification.properties import PROPERTIES
from verification.references.laws import running_error_functions as functions
from verification.references.laws.enclosure import Enclosure, Precision, integers
from verification.references.laws.law import INPUT, OUTPUT, Computed
from verification.references.laws.running_error import Number, concatenated, pulled_back
from verification.references.rows import normalization
from verification.references.torch_nn import REFERENCES
from verification.trials.discrepancy import Discrepancy
from verification.trials.outcome import Unjudged
from verification.trials.trial import Trial

SINGLE, DOUBLE = Precision(torch.float32), Precision(torch.float64)
ROUNDOFF = 2.0**-24
CALL = LayerCall("a function")
SETTINGS = hypothesis.settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def drawn(seed, *shape, dtype=torch.float32):
    """Numbers between -2 and 2."""
    generator = torch.Generator().manual_seed(seed)
    return (4 * torch.rand(shape, generator=generator, dtype=torch.float64) - 2).to(dtype)


def enclosed(tensor, error=0.0):
    """The tensor, off by at most `error`."""
    given = Enclosure.of(tensor, integers(tensor))
    return Enclosure(
        given.value, torch.full_like(given.value, error), given.magnitude, given.exact and not error
    )


def within(got, enclosure):
    """Whether every entry is within its bound."""
    return bool(((got.double() - enclosure.value).abs() <= enclosure.error).all())


# Every primitive, beside torch's own: (on a number, on a tensor).
PRIMITIVES = {
    "sum of two": (lambda x: x + 1 / 3, lambda x: x + 1 / 3),
    "difference": (lambda x: 0.3 - x, lambda x: 0.3 - x),
    "product": (lambda x: x * x * 0.7, lambda x: x * x * 0.7),
    "quotient": (lambda x: x / (x * x + 1), lambda x: x / (x * x + 1)),
    "reciprocal": (lambda x: 3 / (x * x + 1), lambda x: 3 / (x * x + 1)),
    "broadcast": (lambda x: x * x.sum(1, keepdim=True), lambda x: x * x.sum(1, keepdim=True)),
    "matrix product": (
        lambda x: x @ x.moved(lambda t: t.transpose(0, 1)),
        lambda x: x @ x.transpose(0, 1),
    ),
    "mean": (lambda x: x.mean([0]), lambda x: x.mean([0])),
    "whole sum": (lambda x: (x * x).sum(), lambda x: (x * x).sum()),
    "gather": (
        lambda x: x.moved(lambda t: t[:, [0, 2, 2, 1]]) * x.moved(lambda t: t[:, :4]),
        lambda x: x[:, [0, 2, 2, 1]] * x[:, :4],
    ),
    "concatenation": (
        lambda x: concatenated([x, x * x], 1) * 0.3,
        lambda x: torch.cat([x, x * x], 1) * 0.3,
    ),
    "exp": (functions.exp, torch.exp),
    "log": (lambda x: functions.log(x * x + 0.1), lambda x: torch.log(x * x + 0.1)),
    "log1p": (lambda x: functions.log1p(x * x), lambda x: torch.log1p(x * x)),
    "sqrt": (lambda x: functions.sqrt(x * x + 0.1), lambda x: torch.sqrt(x * x + 0.1)),
    "rsqrt": (lambda x: functions.rsqrt(x * x + 0.1), lambda x: torch.rsqrt(x * x + 0.1)),
    "sigmoid": (functions.sigmoid, torch.sigmoid),
    "log sigmoid": (functions.log_sigmoid, F.logsigmoid),
    "tanh": (functions.tanh, torch.tanh),
    "erf": (functions.erf, torch.erf),
    "absolute": (functions.absolute, torch.abs),
    "limit": (lambda x: functions.at_most(x, 0.5), lambda x: x.clamp(max=0.5)),
    "softmax": (lambda x: functions.softmax(x, 1), lambda x: x.softmax(1)),
    "log softmax": (lambda x: functions.log_softmax(x, 1), lambda x: x.log_softmax(1)),
    "moments": (
        lambda x: normalization.standardised(x, [1], 1e-5),
        lambda x: F.layer_norm(x, x.shape[1:]),
    ),
}


def gradient(function, x, cotangent):
    """Autograd's."""
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(function(leaf), leaf, cotangent)[0]


@pytest.mark.parametrize("name", PRIMITIVES)
def test_single_precision_stays_within_the_bounds_forward_and_backward(name):
    ours, theirs = PRIMITIVES[name]
    law = Computed(lambda arguments, tensors: ours(tensors[INPUT]))
    for seed in range(50):
        x = drawn(seed, 3, 5)
        cotangent = drawn(seed + 1000, *theirs(x).shape)
        tensors, cotangents = {INPUT: enclosed(x)}, {OUTPUT: enclosed(cotangent)}
        assert within(theirs(x), law.forward(CALL, tensors, SINGLE)[OUTPUT])
        found = law.backward(CALL, tensors, cotangents, SINGLE)[INPUT]
        assert within(gradient(theirs, x, cotangent), found)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_an_operand_that_is_off_stays_within_the_bounds(name):
    ours, theirs = PRIMITIVES[name]
    law = Computed(lambda arguments, tensors: ours(tensors[INPUT]))
    for seed in range(20):
        x, error = drawn(seed, 3, 5, dtype=torch.float64), 2.0 ** -(4 + seed)
        cotangent = drawn(seed + 1000, *theirs(x).shape, dtype=torch.float64)
        tensors, cotangents = {INPUT: enclosed(x, error)}, {OUTPUT: enclosed(cotangent)}
        output = law.forward(CALL, tensors, DOUBLE)[OUTPUT]
        found = law.backward(CALL, tensors, cotangents, DOUBLE)[INPUT]
        for other in range(10):
            off = x + error * drawn(other, 3, 5, dtype=torch.float64).sign()
            assert within(theirs(off), output)
            assert within(gradient(theirs, off, cotangent), found)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_the_values_are_float64_s_and_an_error_of_a_million_roundoffs_shows(name):
    ours, theirs = PRIMITIVES[name]
    law = Computed(lambda arguments, tensors: ours(tensors[INPUT]))
    x = drawn(1, 3, 5, dtype=torch.float64)
    cotangent = drawn(2, *theirs(x).shape, dtype=torch.float64)
    tensors, cotangents = {INPUT: enclosed(x)}, {OUTPUT: enclosed(cotangent)}
    output = law.forward(CALL, tensors, DOUBLE)[OUTPUT]
    found = law.backward(CALL, tensors, cotangents, DOUBLE)[INPUT]
    for got, enclosure in (
        (theirs(x), output),
        (gradient(theirs, x, cotangent), found),
    ):
        assert within(got, enclosure)
        assert not within(got * (1 + 1e6 * 2.0**-53), enclosure)


# Algorithms that differ from the one a row is written in.


def variance_in_one_pass(x):
    """A layer norm by the mean of squares less the square of the mean, as one scale and shift."""
    mean = x.mean(1, keepdim=True)
    scale = torch.rsqrt((x * x).mean(1, keepdim=True) - mean * mean + 1e-5)
    return x * scale + (-mean * scale)


def summed_backwards(x):
    """Softmax without the largest entry taken off, its terms summed from the last to the first."""
    power = x.exp()
    total = torch.zeros_like(power[:, 0])
    for i in reversed(range(power.shape[1])):
        total = total + power[:, i]
    return power / total[:, None]


OTHER_ALGORITHMS = {
    "one pass": (PRIMITIVES["moments"][0], variance_in_one_pass),
    "no shift": (PRIMITIVES["softmax"][0], summed_backwards),
    "log of softmax": (PRIMITIVES["log softmax"][0], lambda x: x - x.exp().sum(1).log()[:, None]),
    "quotient": (lambda x: x * functions.sigmoid(x), lambda x: x / (1 + torch.exp(-x))),
    "tanh of half": (functions.sigmoid, lambda x: 0.5 * (1 + torch.tanh(0.5 * x))),
    "complement": (
        lambda x: 0.5 * x * (1 + functions.erf(x * math.sqrt(0.5))),
        lambda x: 0.5 * x * torch.special.erfc(-x * math.sqrt(0.5)),
    ),
    "distributed": (lambda x: (x + 0.3) * 0.7, lambda x: x * 0.7 + 0.3 * 0.7),
}


@pytest.mark.parametrize("name", OTHER_ALGORITHMS)
def test_other_algorithms_stay_within_the_bounds(name):
    ours, theirs = OTHER_ALGORITHMS[name]
    law = Computed(lambda arguments, tensors: ours(tensors[INPUT]))
    for seed in range(100):
        x = drawn(seed, 3, 9)
        cotangent = drawn(seed + 1000, 3, 9)
        tensors, cotangents = {INPUT: enclosed(x)}, {OUTPUT: enclosed(cotangent)}
        assert within(theirs(x), law.forward(CALL, tensors, SINGLE)[OUTPUT])
        found = law.backward(CALL, tensors, cotangents, SINGLE)[INPUT]
        assert within(gradient(theirs, x, cotangent), found)


def test_integers_stay_exact_through_sums_products_and_copies():
    x = Number(enclosed(torch.arange(6.0).reshape(2, 3)), SINGLE, tracked=True)
    y = (x * x + 3 * x).sum(1)
    assert y.enclosure.exact
    assert not y.error.any()
    found = pulled_back({OUTPUT: y}, {OUTPUT: Number(enclosed(torch.ones(2)), SINGLE)})[x]
    assert found.enclosure.exact
    assert found.value.tolist() == [[3, 5, 7], [9, 11, 13]]
    assert not (y / 3).enclosure.exact


def test_a_kink_within_reach_of_an_error_is_covered_on_both_sides():
    x = Number(enclosed(torch.tensor([0.01, 1.0]), error=0.1), SINGLE, tracked=True)
    y = functions.absolute(x)
    one = Number(enclosed(torch.ones(2)), SINGLE)
    slope = pulled_back({OUTPUT: y}, {OUTPUT: one})[x]
    assert slope.error[0] >= 2
    assert slope.error[1] < 4 * ROUNDOFF


def test_where_a_right_computation_may_overflow_nothing_is_claimed():
    x = Number(enclosed(torch.tensor([100.0])), SINGLE)
    assert functions.exp(x).error.item() == math.inf
    assert functions.exp(Number(x.enclosure, DOUBLE)).error.item() < 1e31


# The rows.

COMPUTED = {
    name: entry
    for name, entry in REFERENCES.items()
    if isinstance(entry.row.law, Computed) and name.startswith("torch.nn.")
}


class Off:
    """A subject whose outputs and gradients are off by some units of roundoff, relatively."""

    def __init__(self, subject, units):
        self._subject = subject
        self._factor = 1 + units * ROUNDOFF
        self.name = subject.name
        self.offers = frozenset()

    def forward(self, inputs, parameters):
        return self._scaled(self._subject.forward(inputs, parameters))

    def vjp(self, cotangents):
        return self._scaled(self._subject.vjp(cotangents))

    def _scaled(self, tensors):
        return {name: (tensor.double() * self._factor).float() for name, tensor in tensors.items()}


def trials_of(entry, name):
    """The trials of a property on some drawn cases in single precision."""
    found = []

    @SETTINGS
    @given(PROPERTIES[name].cases(entry, name, "cpu", "float32"))
    def collect(case):
        found.append(Trial(case, entry))

    collect()
    return found


def fails(trial, name):
    """Whether the property finds something."""
    try:
        PROPERTIES[name].check(trial)
    except Discrepancy:
        return True
    except Unjudged:
        pass
    return False


@pytest.mark.parametrize("name", ["forward_matches_reference", "gradients_match_reference"])
@pytest.mark.parametrize("entry", COMPUTED.values(), ids=COMPUTED)
def test_an_error_of_a_hundred_roundoffs_shows_in_every_row(entry, name):
    for trial in trials_of(entry, name):
        trial.subject = Off(trial.build(), units=100)
        if fails(trial, name):
            return
    pytest.fail("no case shows it")


@pytest.mark.parametrize("entry", COMPUTED.values(), ids=COMPUTED)
def test_bounds_leave_more_than_half_of_the_digits(entry):
    relative = []
    for trial in trials_of(entry, "gradients_match_reference"):
        for truth in trial.true_results.values():
            sharp = truth.value.isfinite() & (truth.error > 0)
            bound = truth.error[sharp] / truth.magnitude[sharp]
            relative += (bound / ROUNDOFF)[truth.magnitude[sharp] > 1e-30].tolist()
    median = statistics.median(relative)
    print(f"{entry.name}: median bound {median:.1f} units of roundoff of Σ|terms|")
    assert median < 2.0**12
