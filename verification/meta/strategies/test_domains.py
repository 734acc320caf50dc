"""Domains: members stay members, tangents are the derivative of `member`, texts are refused."""

import pytest
import torch

from gradcheck import jacobian
from gradcheck.rounding import gamma, unit_roundoff
from verification.cases import Role, TensorSpec, Values
from verification.strategies.descriptions.domains import KINDS, DomainError, parse
from verification.strategies.tensors import DENSE, REALS
from verification.trials.materialise import Budget, elements, materialise

TEXTS = {
    "real": "real(0.5)",
    "within": "within(0.5)",
    "labels": "labels(5, ignored=-100)",
    "some labels": "some labels(5, ignored=-100)",
    "indices": "indices(7)",
    "groups": "groups(3)",
    "one of": "one of (1, 2, 4)",
}
BUDGET = Budget(balanced=3, full=100)


def text_of(words):
    return TEXTS.get(words, words)


def sampled(text, family=DENSE, seed=0, shape=(3, 4, 4)):
    spec = TensorSpec("x", Role.INPUT, shape, Values(family, seed), domain=text)
    return elements(spec, shape, lambda: BUDGET, torch.float64)


def is_member(text, x):
    domain = parse(text)
    off = (domain.member(x) - x).abs()
    # A member that was normalised is one up to the rounding of the division by its length.
    return bool((off <= 8 * torch.finfo(x.dtype).eps * x.abs()).all())


@pytest.mark.parametrize("family", [*REALS, "integers", "units", "one_hot"])
@pytest.mark.parametrize("words", KINDS)
def test_every_family_makes_members(words, family):
    for seed in range(5):
        assert is_member(text_of(words), sampled(text_of(words), family, seed))


@pytest.mark.parametrize("words", KINDS)
def test_what_is_stored_is_brought_into_the_domain(words):
    for stored in ((0.0,) * 9, (1.0, 0.0, 2.0, -3.0, 0.5, 0.0, 0.0, 7.0, 1.0)):
        spec = TensorSpec("x", Role.INPUT, (3, 3), Values(stored=stored), domain=text_of(words))
        x = elements(spec, (3, 3), lambda: BUDGET, torch.float64)
        assert is_member(text_of(words), x)
        assert torch.isfinite(x).all()


@pytest.mark.parametrize("words", [w for w in KINDS if not parse(text_of(w)).discrete])
@pytest.mark.parametrize("far", [False, True])
def test_tangents_are_the_derivative_of_member(words, far):
    domain = parse(text_of(words))
    x = sampled(text_of(words), seed=3)
    if far:  # off the domain, where perturbed points are folded back
        x = x - 0.8 * sampled("real", seed=4)
    g = sampled("real", seed=5)
    found = jacobian(domain.member, x)
    assert found.bound.isfinite().all()
    count = g.numel()
    along = g.reshape(count, *[1] * x.dim())
    slopes, bounds = found.value.reshape(count, *x.shape), found.bound.reshape(count, *x.shape)
    roundings = gamma(2 * count, unit_roundoff(torch.float64)) * (along * slopes).abs().sum(0)
    off = (domain.tangent(x, g) - (along * slopes).sum(0)).abs()
    assert (off <= (along.abs() * bounds).sum(0) + roundings).all()


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("positive", lambda x: (x > 0).all()),
        ("unit", lambda x: ((x >= 0) & (x <= 1)).all()),
        ("open unit", lambda x: ((x > 0) & (x < 1)).all()),
        ("within(0.5)", lambda x: x.min() < 0 < x.max() and (x.abs() <= 0.5).all()),
        ("simplex", lambda x: (x.sum(-1) - 1).abs().max() < 1e-12 and (x >= 0).all()),
        ("sorted", lambda x: (x.diff(dim=-1) > 0).all()),
        ("symmetric", lambda x: torch.equal(x, x.mT)),
        ("positive definite", lambda x: torch.linalg.eigvalsh(x).min() > 0),
        ("diagonal", lambda x: torch.equal(x, x * torch.eye(4))),
        ("unit norm", lambda x: (x.norm(dim=-1) - 1).abs().max() < 1e-12),
        ("zero row(1)", lambda x: x.eq(0).flatten(1).all(1).tolist() == [False, True, False]),
        ("labels(5)", lambda x: set(x.unique().tolist()) == {0, 1, 2, 3, 4}),
        ("labels(2, ignored=-1)", lambda x: set(x.unique().tolist()) == {-1, 0, 1}),
        ("groups(3)", lambda x: (x.diff(dim=-1) >= 0).all() and x.max() == 2),
        ("permutation", lambda x: torch.equal(x.sort(-1).values[0, 0], torch.arange(4.0))),
        ("mask", lambda x: set(x.unique().tolist()) == {0, 1}),
        ("one of (1, 2, 4)", lambda x: set(x.unique().tolist()) == {1, 2, 4}),
    ],
)
def test_members_are_what_the_domain_says(text, holds):
    assert holds(sampled(text))


def test_something_is_left_where_all_was_ignored_or_masked():
    ignored, closed = torch.full((3, 2), -100.0), torch.zeros(2, 3, dtype=torch.float64)
    assert parse("some labels(5, ignored=-100)").member(ignored)[0, 0] == 0
    assert parse("some labels(5, ignored=0)").member(0 * ignored).flatten()[:2].tolist() == [1, 0]
    assert parse("open mask").member(closed).tolist() == [[1, 0, 0], [1, 0, 0]]


def test_two_gradients_that_differ_outside_the_domain_are_one_inside():
    x, g = sampled("symmetric"), sampled("real", seed=1)
    skew = sampled("real", seed=2)
    skew = skew - skew.mT
    domain = parse("symmetric")
    torch.testing.assert_close(domain.tangent(x, g + skew), domain.tangent(x, g))


@pytest.mark.parametrize(("text", "dtype"), [("labels(5)", torch.int64), ("mask", torch.bool)])
def test_a_domain_with_a_dtype_of_its_own_keeps_it(text, dtype):
    spec = TensorSpec("x", Role.INPUT, (2, 3), Values(DENSE), "strided", domain=text)
    made = materialise(spec, (2, 3), lambda: BUDGET, torch.float32, torch.device("cpu"))
    assert made.tensor.dtype == dtype
    assert made.intact()
    made.tensor[0, 0] = 1 - made.tensor[0, 0].long()
    assert made.damage() == "of"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reals", "domain 'reals' is unknown; choose from real, positive"),
        ("labels", "domain 'labels': missing 1 required positional argument: 'extent'"),
        ("labels(n)", "domain 'labels(n)': 'n' is no number"),
        ("mask(3)", "domain 'mask(3)': takes"),
        ("__import__('os')", "write words and, in parentheses, numbers"),
        ("one of ()", "has no member"),
    ],
)
def test_a_text_that_names_no_domain_is_refused(text, says):
    with pytest.raises(DomainError, match=r".*") as error:
        parse(text)
    assert says in str(error.value)


def test_a_shape_without_a_member_is_refused():
    for text, shape in (("symmetric", (2, 3)), ("labels(0)", (2,)), ("diagonal", (3,))):
        with pytest.raises(DomainError):
            parse(text).require_fits(shape)
    parse("labels(0)").require_fits((0,))
