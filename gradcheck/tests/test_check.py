"""check_gradients: what is right passes, what cannot be judged is said, all is put back."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradcheck import GradientError, check_gradients
from gradcheck.rounding import gamma, unit_roundoff

METHODS = ["full", "projection"]
DTYPES = [torch.float64, torch.float32]


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


class Scale:
    """y = a x by hand, with faults to switch on."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.a, self.gradient = torch.tensor(3.0).double(), torch.tensor(0.0).double()

    def param(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.a, self.gradient)]

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        if self.fault == "random":
            return self.a * x + torch.rand_like(x)
        if self.fault == "layout" and not x.is_contiguous():
            return self.a * x.flip(0)
        return self.a * x

    def backward(self, g: Tensor) -> Tensor:
        self.gradient += (g * self.x).sum()
        if self.fault == "cotangent":
            g.mul_(2)
            return self.a * g / 2
        if self.fault == "shape":
            return (self.a * g).flatten()
        if self.fault == "dtype":
            return (self.a * g).float()
        return self.a * g


RIGHT: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
    "matmul": (torch.matmul, (numbers(3, 4), numbers(4, 2))),
    "two outputs": (lambda x: (x.sin(), (x * x).sum()), (numbers(5),)),
    "a number": (lambda x: x.exp(), (torch.tensor(0.3).double(),)),
    "softmax": (lambda x: F.log_softmax(x, -1), (numbers(3, 4),)),
    "batch norm": (nn.BatchNorm1d(3).double(), (numbers(5, 3),)),
    "perceptron": (
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2), nn.Sigmoid()).double(),
        (numbers(3, 4),),
    ),
    "max pooling": (lambda x: F.max_pool2d(x, 2), (numbers(1, 2, 4, 4),)),
    "constant": (lambda x: torch.ones(3).double() + 0 * x.sum(), (numbers(4),)),
    "huge": (torch.square, (1e8 * numbers(20),)),
    "tiny": (torch.square, (1e-8 * numbers(20),)),
    "cancelling": (lambda x: (1e6 + x) - 1e6, (numbers(6),)),
    "embedding": (
        lambda indices, table: table[indices],
        (torch.tensor([0, 2, 2]), numbers(4, 3)),
    ),
    "by hand": (Scale(), (numbers(3, 2),)),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(method: Any, name: str) -> None:
    f, arguments = RIGHT[name]
    for seed in range(5):
        report = check_gradients(f, *arguments, method=method, seed=seed)
        assert report.ok, str(report)
        assert report.undecided == 0
        assert report.comparisons > 0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_kinks_are_accepted_between_their_slopes(method: Any, dtype: torch.dtype) -> None:
    x = numbers(4, 5, dtype=dtype)
    x[::2] = 0
    assert check_gradients(torch.relu, x, method=method).ok
    assert check_gradients((torch.abs, lambda x, g: g * x.sign()), x, method=method).ok
    for factor in (0.5, -1.0):  # between the slopes of |x| at 0, but wrong everywhere else
        wrong = (torch.abs, lambda x, g, factor=factor: factor * g)
        assert not check_gradients(wrong, x, method=method).ok


def test_far_from_both_slopes_is_wrong_even_at_a_kink() -> None:
    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return g * torch.where(x == 0, 7.0, x.sign())

    report = check_gradients((torch.abs, vjp), torch.tensor([0.0, 1.0, -2.0]).double())
    assert [mismatch.entry for mismatch in report.mismatches] == [(0,)]


def test_a_tie_inside_a_composite_is_undecided() -> None:
    """relu(x) - relu(-x) is x, and autograd says 0 at 0: no fault, and no proof either."""
    x = torch.tensor([0.0, 0.0, 1.0, -2.0]).double()
    report = check_gradients(lambda x: torch.relu(x) - torch.relu(-x), x, method="full")
    assert report.ok
    assert report.undecided == 4  # two entries for each of two cotangents
    assert "4 undecided" in str(report)


@pytest.mark.parametrize("method", METHODS)
def test_ties_in_a_network_of_zeros_are_no_fault(method: Any) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 2, 2, bias=False)
    ).double()
    for seed in range(5):
        x = numbers(1, 1, 6, 6, seed=seed).round()
        x[..., 2:] = 0
        assert check_gradients(network, x, method=method, seed=seed).ok


def spread(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers of size 1e-6 to 1e6."""
    exponents = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 12 - 6
    return (numbers(*shape, seed=seed) * 10 ** exponents.double()).to(dtype)


HARD: dict[str, Any] = {
    # a sine that is smaller than the rounding of the cube beside it
    "hidden below the noise": lambda s: (lambda x: x**3 + x.sin(), 1e6 * numbers(7, seed=s)),
    "an alias of a long step": lambda s: (lambda x: x**3 + x.sin(), torch.full((7,), 1.7e3)),
    "periods of one step": lambda s: (lambda x: (6.5 * torch.pi * x).sin(), numbers(7, seed=s)),
    "a softmax of numbers apart": lambda s: (
        lambda x: F.log_softmax(x, -1),
        spread(4, 5, seed=s),
    ),
    "a perceptron of numbers apart": lambda s: (
        nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)),
        spread(4, 5, seed=s, dtype=torch.float32),
    ),
    "a normalised constant": lambda s: (nn.LayerNorm(6), torch.full((3, 6), 1.7e6).float()),
    "an exponential that overflows": lambda s: (torch.exp, 300 * numbers(6, seed=s).float()),
}


@pytest.mark.parametrize("name", HARD)
def test_what_is_right_but_hard_is_not_called_wrong(name: str) -> None:
    for seed in range(4):
        f, x = HARD[name](seed)
        for method in METHODS:
            report = check_gradients(f, x, method=method, seed=seed)
            assert report.ok, str(report)


def test_cotangents_belong_to_outputs_by_name() -> None:
    given = {"output_1": torch.tensor(3.0).double(), "output_0": numbers(4, seed=1)}
    assert check_gradients(lambda x: (x.sin(), x.sum()), numbers(4), cotangents=given).ok


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_nothing_in_or_out_is_right_only_as_zero(method: Any, shape: tuple[int, ...]) -> None:
    weight = numbers(shape[1], 2)
    x = numbers(*shape)
    assert check_gradients(torch.matmul, x, weight, method=method).ok

    def vjp(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        return g @ w.T, torch.ones_like(w)

    if weight.numel():  # nothing goes out, so the right gradient of w is zero
        wrong = check_gradients((product, vjp), x, weight, method=method)
        assert {mismatch.tensor for mismatch in wrong.mismatches} == {"w"}


COMPLAINTS = {
    "random": "forward called again with the same tensors gives other values",
    "cotangent": "output was written to",
    "shape": r"input gradient has shape \[6\], its tensor \[3, 2\]",
    "dtype": "input gradient has dtype torch.float32, its tensor torch.float64",
}


@pytest.mark.parametrize("fault", COMPLAINTS)
def test_what_is_no_wrong_number_is_told_apart(fault: str) -> None:
    report = check_gradients(Scale(fault), numbers(3, 2))
    assert not report.ok
    assert report.mismatches == ()
    with pytest.raises(GradientError, match=COMPLAINTS[fault]):
        report.raise_for_failure()


def test_a_forward_that_depends_on_the_layout_is_told() -> None:
    assert check_gradients(Scale("layout"), numbers(3, 2)).ok
    report = check_gradients(Scale("layout"), numbers(2, 3).T)
    assert "called with contiguous copies of the same tensors gives other" in str(report)


def test_everything_is_put_back() -> None:
    layer = Scale()
    layer.gradient.fill_(5.0)
    state = torch.get_rng_state()
    check_gradients(layer, numbers(3, 2), parameters={"a": torch.tensor(2.0).double()})
    assert (layer.a.item(), layer.gradient.item()) == (3.0, 5.0)
    calls = 0

    def fails_later(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        torch.rand(1)
        if calls > 4:
            raise RuntimeError("enough")
        return x

    with pytest.raises(RuntimeError, match="enough"):
        check_gradients(fails_later, numbers(3))
    assert torch.equal(torch.get_rng_state(), state)


def affine_error(
    inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """gamma_n |x| |w| for x w, n the length of the sums (Higham, equation 3.5)."""
    x, w = inputs["x"].abs(), inputs["w"].abs()
    return {"output": gamma(x.shape[1], unit_roundoff(x.dtype)) * (x @ w)}


def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_derived_bounds_are_said_to_be_so(dtype: torch.dtype) -> None:
    x, w = numbers(4, 6, dtype=dtype), numbers(6, 3, seed=1, dtype=dtype)
    g = numbers(4, 3, seed=2, dtype=dtype)
    u = unit_roundoff(dtype)
    report = check_gradients(
        (product, lambda x, w, g: (g @ w.T, x.T @ g)),
        x,
        w,
        cotangents={"output": g},
        evaluation_error=affine_error,
        analytic_error={
            "x": gamma(3, u) * (g.abs() @ w.abs().T),
            "w": gamma(4, u) * (x.abs().T @ g.abs()),
        },
        method="full",
    )
    assert report.ok, str(report)
    assert (report.basis, report.undecided) == ("derived", 0)
    assert check_gradients(torch.matmul, x, w).basis == "exact"
    assert check_gradients(torch.sin, x).basis == "estimated"


def test_the_sentence_and_the_data() -> None:
    def vjp(x: Tensor, g: Tensor) -> Tensor:
        return g * torch.where(x > 1, 0.5, 1.0)

    def double(x: Tensor) -> Tensor:
        return x * 1.0

    report = check_gradients(
        (double, vjp),
        torch.arange(4).double(),
        cotangents={"output": torch.full((4,), 2.0).double()},
    )
    sentence = str(report)
    assert sentence.startswith("input gradient of double wrong at [2]: analytic 1, numerical 2 ± ")
    assert "ratio 0.5000; 2 of 4 entries differ" in sentence
    data = json.loads(json.dumps(report.to_dict()))
    assert data["ok"] is False
    assert [m["entry"] for m in data["tensors"][0]["mismatches"]] == [[2], [3]]


def test_what_gets_no_gradient_is_named() -> None:
    class Loss:
        def forward(self, input: Tensor, target: Tensor) -> Tensor:
            self.difference = input - target
            return self.difference.square().sum()

        def backward(self) -> Tensor:
            return 2 * self.difference

    report = check_gradients(Loss(), numbers(3), numbers(3, seed=1))
    assert report.ok
    assert report.not_judged == ("target",)
    asked = check_gradients(Loss(), numbers(3), numbers(3, seed=1), wrt=["target"])
    assert str(asked) == "Loss: target gets no gradient"


def test_refusals() -> None:
    x = numbers(3)
    with pytest.raises(ValueError, match="input holds values that are not finite"):
        check_gradients(torch.sin, x / 0)
    with pytest.raises(ValueError, match=r"wrt names \['weight'\]: the tensors are \['input'\]"):
        check_gradients(torch.sin, x, wrt=["weight"])
    with pytest.raises(ValueError, match="analytic_error is given without cotangents"):
        check_gradients(torch.sin, x, analytic_error={"input": x})
    with pytest.raises(ValueError, match=r"1 inputs are given by position and \['input'\] by name"):
        check_gradients(torch.sin, x, inputs={"input": x})
    with pytest.raises(
        ValueError, match=r"cotangents have shapes \{'output': \(2,\)\}, the floating"
    ):
        check_gradients(torch.sin, x, cotangents={"output": x[:2]})
    with pytest.raises(TypeError, match="one floating output is needed"):
        check_gradients(lambda x: x > 0, x)
    with pytest.raises(TypeError, match=r"are a tuple of \['float'\]: pass at least one tensor"):
        check_gradients(torch.sin, 1.0)
    with pytest.raises(TypeError, match="input is a float: inputs by name are tensors"):
        check_gradients(torch.sin, inputs={"input": 1.0})
