"""Several tensors judged along one line: what that costs, and what it must not hide."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gradcheck import check_gradients

SHAPES = {"x": (5, 8), "w": (8, 16), "b": (16,), "v": (16, 4)}


def perceptron(x: Tensor, w: Tensor, b: Tensor, v: Tensor) -> Tensor:
    return torch.tanh(x @ w + b) @ v


def right(x: Tensor, w: Tensor, b: Tensor, v: Tensor, g: Tensor) -> dict[str, Tensor]:
    hidden = torch.tanh(x @ w + b)
    inner = (g @ v.T) * (1 - hidden**2)
    return {"x": inner @ w.T, "w": x.T @ inner, "b": inner.sum(0), "v": hidden.T @ g}


def tensors(scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator).double() for shape in SHAPES.values()]
    return [drawn[0] * scale, drawn[1] / scale, *drawn[2:]]


@pytest.mark.parametrize("method", ["full", "projection", "auto"])
@pytest.mark.parametrize("scale", [1.0, 2.0**20])
@pytest.mark.parametrize("name", SHAPES)
def test_the_wrong_one_of_several_is_named(name: str, scale: float, method: Any) -> None:
    def vjp(*arguments: Tensor) -> tuple[Tensor, ...]:
        gradients = right(*arguments)
        gradients[name].view(-1)[3] *= 1 + wrong
        return tuple(gradients.values())

    wrong = 1e-4
    report = check_gradients((perceptron, vjp), *tensors(scale), method=method)
    assert {(m.tensor, m.entry is None) for m in report.mismatches} == {(name, False)}
    wrong = 0.0
    report = check_gradients((perceptron, vjp), *tensors(scale), method=method)
    assert report.ok, str(report)
    assert [tensor.tensor for tensor in report.tensors] == list(SHAPES)
    assert report.undecided == 0


def test_an_error_above_the_resolution_of_its_own_tensor_is_found() -> None:
    def vjp(*arguments: Tensor) -> tuple[Tensor, ...]:
        gradients = right(*arguments)
        gradients[name].view(-1)[3] += error
        return tuple(gradients.values())

    for place, name in enumerate(SHAPES):
        error = 0.0
        first = check_gradients((perceptron, vjp), *tensors(), method="projection")
        error = first.tensors[place].resolution
        second = check_gradients((perceptron, vjp), *tensors(), method="projection")
        if second.ok:  # it did not simply agree, and was found within wider bounds
            error = second.tensors[place].resolution
            assert error > first.tensors[place].resolution
            second = check_gradients((perceptron, vjp), *tensors(), method="projection")
        assert {mismatch.tensor for mismatch in second.mismatches} == {name}


def test_many_tensors_take_hardly_more_calls_than_one() -> None:
    calls = 0

    def counted(*arguments: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.cat(arguments).tanh()

    taken = []
    for count in (1, 8):
        calls = 0
        x = torch.linspace(-1, 1, 800, dtype=torch.float64)
        assert check_gradients(counted, *x.chunk(count), method="projection").ok
        taken.append(calls)
    assert taken[1] <= taken[0] + 4


def test_a_kink_in_one_tensor_is_looked_at_alone() -> None:
    x = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    report = check_gradients(lambda x, y: x.relu() + y.exp(), x, x + 3, method="full")
    assert report.ok, str(report)
    assert report.comparisons == 12
