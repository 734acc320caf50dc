"""Speed: one check of all gradients, by torch.autograd.gradcheck and by gradcheck, in turn."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

import scratch_layers as sl
from benchmarks.gradcheck_layers import as_torch_function
from gradcheck import check_gradients
from gradcheck.subjects import as_subject

_SLOW_UP_TO = 1000  # inputs; beyond, torch's slow mode takes minutes a check


@dataclass(frozen=True)
class Speed:
    """Milliseconds of processor time for one check; those of one subject were taken in turn.

    One thread computes, and nothing waits: what others do on the machine does not count.
    """

    subject: str
    inputs: int
    checker: str
    median_ms: float
    fastest_ms: float
    repeats: int


def _wide_perceptron(x: Tensor, w: Tensor, b: Tensor, v: Tensor) -> Tensor:
    return torch.tanh(x @ w + b) @ v


def subjects() -> Iterator[tuple[str, Any, Callable[..., Tensor], list[Tensor]]]:
    """Name, what gradcheck judges, what torch judges, and the arguments; float64, N(0, 1)."""
    torch.manual_seed(0)
    double = torch.float64
    for channels, outputs, size in ((1, 1, 3), (4, 4, 5), (4, 4, 11), (8, 4, 25)):
        conv = sl.Conv2d(channels, outputs, 3, padding=1, dtype=double)
        x = torch.randn(1, channels, size, size, dtype=double)
        yield "Conv2d 3x3", conv, as_torch_function(conv), [x]
    transposed = sl.ConvTranspose2d(4, 4, 3, stride=2, dtype=double)
    x = torch.randn(1, 4, 5, 5, dtype=double)
    yield "ConvTranspose2d 3x3", transposed, as_torch_function(transposed), [x]
    sigmoid = sl.Sigmoid()
    yield "Sigmoid", sigmoid, as_torch_function(sigmoid), [torch.randn(1, 4, 11, 11, dtype=double)]
    shapes = ((5, 8), (8, 16), (16,), (16, 4))
    tensors = [torch.randn(*shape, dtype=double) for shape in shapes]
    yield "perceptron, a function", _wide_perceptron, _wide_perceptron, tensors
    network = nn.Sequential(nn.Linear(200, 400), nn.Tanh(), nn.Linear(400, 50)).double()
    held = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def through(x: Tensor, *values: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(
            network, dict(zip(held, values, strict=True)), (x,)
        )
        return result

    yield "module of 10^5 parameters", network, through, [torch.randn(2, 200, dtype=double)]


def checkers(
    f: Any, torch_function: Callable[..., Tensor], arguments: list[Tensor]
) -> tuple[int, dict[str, Callable[[], bool]]]:
    """The number of inputs, and every checker as a call that says whether all is well.

    Where ours judges forward mode and vmap as well, torch's is also asked for these.
    """
    parameters: list[Any] = getattr(f, "parameters", list)()
    own = [getattr(p, "data", p) for p in parameters]
    leaves = [t.detach().clone().requires_grad_() for t in (*arguments, *own)]
    inputs = sum(argument.numel() for argument in arguments)
    everything = sum(leaf.numel() for leaf in leaves)
    calls: dict[str, Callable[[], bool]] = {
        "torch fast": lambda: torch.autograd.gradcheck(torch_function, leaves, fast_mode=True),
        "ours auto": lambda: check_gradients(f, *arguments).ok,
        "ours projection": lambda: check_gradients(f, *arguments, method="projection").ok,
    }
    if {"jvp", "vmap"} <= as_subject(f).offers:
        calls["torch fast, all modes"] = lambda: torch.autograd.gradcheck(
            torch_function, leaves, fast_mode=True, check_forward_ad=True, check_batched_grad=True
        )
    if everything <= _SLOW_UP_TO:
        calls["torch slow"] = lambda: torch.autograd.gradcheck(torch_function, leaves)
        calls["ours full"] = lambda: check_gradients(f, *arguments, method="full").ok
    return inputs, calls


def measure(repeats: int) -> list[dict[str, Any]]:
    """Time every checker on every subject, round by round."""
    rows = []
    for name, f, torch_function, arguments in subjects():
        inputs, calls = checkers(f, torch_function, arguments)
        taken: dict[str, list[float]] = {checker: [] for checker in calls}
        for _ in range(repeats):
            for checker, call in calls.items():
                start = time.process_time()
                if not call():
                    raise AssertionError(f"{checker} calls {name} wrong")
                taken[checker].append(1e3 * (time.process_time() - start))
        rows += [
            asdict(Speed(name, inputs, checker, statistics.median(ms), min(ms), repeats))
            for checker, ms in taken.items()
        ]
    return rows
