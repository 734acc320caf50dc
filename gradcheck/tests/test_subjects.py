"""The adapters: names, gradients of this call only, and things put back as they were."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradcheck.subjects import (
    AutogradFunctionSubject,
    FunctionSubject,
    LayerSubject,
    ModuleSubject,
    Subject,
    as_subject,
)
from gradcheck.subjects.recognition import input_names


class Parameter:
    def __init__(self, data: Tensor) -> None:
        self.data, self.grad = data, torch.zeros_like(data)


class Linear:
    """y = x w^T, with its parameter in each of the three ways that hand-written layers have."""

    def __init__(self, held: str) -> None:
        self.w = Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
        ways: dict[str, Any] = {
            "named_parameters": lambda: [("w", self.w)],
            "parameters": lambda: [self.w],
            "param": lambda: [(self.w.data, self.w.grad)],
        }
        setattr(self, held, ways[held])

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return x @ self.w.data.T

    def backward(self, grad_output: Tensor) -> Tensor:
        self.w.grad += grad_output.T @ self.x
        return grad_output @ self.w.data


class Half:
    """A loss: its backward takes no cotangent, and gives a gradient for its first input only."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self.difference = input - target
        return (self.difference**2).sum() / 2

    def backward(self) -> Tensor:
        return self.difference


@pytest.mark.parametrize("held", ["named_parameters", "parameters", "param"])
def test_a_layer_is_driven_however_it_holds_its_parameters(held: str) -> None:
    layer = Linear(held)
    before = layer.w.data.clone()
    layer.w.grad.fill_(7.0)
    subject = LayerSubject(layer)
    (name,) = subject.parameters()
    x, value = torch.ones(4, 2), torch.zeros(3, 2)
    with subject.restoring():
        out = subject.forward({"input": x}, {name: value})
        assert torch.equal(out["output"], torch.zeros(4, 3))
        for _ in range(2):  # the buffers are zeroed first, so nothing accumulates
            gradients = subject.vjp({"output": torch.ones(4, 3)})
            assert torch.equal(gradients["input"], torch.zeros(4, 2))
            assert torch.equal(gradients[name], torch.full((3, 2), 4.0))
    assert torch.equal(layer.w.data, before)
    assert torch.equal(layer.w.grad, torch.full((3, 2), 7.0))


def test_values_are_rebound_with_their_layout() -> None:
    layer = Linear("named_parameters")
    transposed = torch.zeros(2, 3).T
    LayerSubject(layer).forward({"input": torch.ones(1, 2)}, {"w": transposed})
    assert layer.w.data is transposed


def test_a_layer_is_put_back_after_an_exception() -> None:
    layer = Linear("named_parameters")
    data, kept = layer.w.data, layer.w.data.clone()
    subject = LayerSubject(layer)
    with pytest.raises(RuntimeError), subject.restoring():  # five columns do not fit two
        subject.forward({"input": torch.ones(1, 5)}, {"w": torch.zeros(3, 2)})
    assert layer.w.data is data
    assert torch.equal(layer.w.data, kept)


def test_a_loss_is_scaled_by_its_cotangent() -> None:
    subject = LayerSubject(Half())
    x, y = torch.tensor([3.0, 5.0]), torch.tensor([1.0, 1.0])
    assert input_names(subject, 2) == ("input", "target")
    subject.forward({"input": x, "target": y}, {})
    gradients = subject.vjp({"output": torch.tensor(2.0)})
    assert {name: g.tolist() for name, g in gradients.items()} == {"input": [4.0, 8.0]}


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'v' is unknown to Linear: it has \['w'\]"):
        LayerSubject(Linear("named_parameters")).forward(
            {"input": torch.ones(1, 2)}, {"v": torch.ones(1)}
        )


def test_a_function_has_named_inputs_and_outputs() -> None:
    def split(left: Tensor, right: Tensor) -> dict[str, Tensor]:
        return {"product": left * right, "unrelated": torch.ones(())}

    subject = FunctionSubject(split)
    assert input_names(subject, 2) == ("left", "right")
    x, y = torch.tensor([2.0]), torch.tensor([5.0])
    out = subject.forward({"left": x, "right": y}, {})
    assert not any(tensor.requires_grad for tensor in out.values())
    gradients = subject.vjp({"product": torch.ones(1), "unrelated": torch.ones(())})
    assert (gradients["left"].item(), gradients["right"].item()) == (5.0, 2.0)


def test_a_pair_brings_its_own_vjp() -> None:
    subject = as_subject((lambda x, n: x * n, lambda x, n, g: (g * n, None)))
    subject.forward({"x": torch.tensor([2.0]), "n": torch.tensor([3.0])}, {})
    gradients = subject.vjp({"output": torch.ones(1)})
    assert (gradients["x"].item(), gradients["n"].item()) == (3.0, 0.0)
    wrong = FunctionSubject(lambda x: x, lambda x, g: (g, g))
    wrong.forward({"x": torch.ones(1)}, {})
    with pytest.raises(ValueError, match=r"2 gradients for the inputs \['x'\]"):
        wrong.vjp({"output": torch.ones(1)})


def test_a_module_keeps_its_state() -> None:
    module = nn.BatchNorm1d(2)
    subject = ModuleSubject(module)
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    first = subject.forward({"input": x}, subject.parameters())["output"]
    assert torch.equal(subject.forward({"input": x}, subject.parameters())["output"], first)
    assert set(subject.vjp({"output": torch.ones(2, 2)})) == {"input", "weight", "bias"}
    assert torch.equal(module.running_mean, torch.zeros(2))
    assert module.weight.grad is None


def test_an_autograd_function_says_what_it_offers() -> None:
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return 2 * g * ctx.saved_tensors[0]

    subject = as_subject(Square)
    assert isinstance(subject, AutogradFunctionSubject)
    assert (subject.name, subject.offers) == ("Square", {"double_backward"})
    subject.forward({"input": torch.tensor([3.0])}, {})
    assert subject.vjp({"output": torch.ones(1)})["input"].item() == 6.0


def test_the_kind_of_a_subject_is_recognised() -> None:
    assert isinstance(as_subject(torch.sin), FunctionSubject)
    assert isinstance(as_subject(nn.Linear(1, 1)), ModuleSubject)
    assert isinstance(as_subject(Half()), LayerSubject)
    subject = FunctionSubject(torch.sin)
    assert isinstance(subject, Subject)
    assert as_subject(subject) is subject
    with pytest.raises(TypeError, match="f is a int: pass a function"):
        as_subject(3)


def test_what_forward_returns_must_be_tensors() -> None:
    with pytest.raises(TypeError, match=r"returned a tuple of \['Tensor', 'int'\]"):
        FunctionSubject(lambda x: (x, 1)).forward({"input": torch.ones(1)}, {})
