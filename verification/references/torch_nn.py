"""torch's own layers, losses and optimisers as subjects, judged by the very rows that judge all
others: a false alarm of the suite would show here first.

Where one departs from the contract of DESIGN, its row says so by the clause's name, and it is
waived here; docs/findings.md reproduces each departure.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import scratch_layers
from gradcheck.subjects import ModuleSubject, Subject
from verification.cases import LayerCall
from verification.references.index import ROWS
from verification.references.row import Clause, Row
from verification.subjects.driving.optimizers import OptimizerSubject
from verification.subjects.entry import Entry, adapted

OTHER_CONTRACT = dict.fromkeys(
    (Clause.ACCUMULATION, Clause.ORDER_OF_CALLS, Clause.PURITY, Clause.REFUSALS, Clause.STATE),
    "the contract of hand-written layers, which torch.nn's modules have another one for",
)


def defaults(kind: str) -> dict[str, object]:
    """The arguments that the constructor of a kind's twin has defaults for; one that passes
    arguments on has those of its base classes.
    """
    twin = ROWS[kind].twin if kind in ROWS else None
    found: dict[str, object] = {}
    for maker in reversed(twin.__mro__) if isinstance(twin, type) else (twin,) if twin else ():
        parameters = inspect.signature(maker).parameters.values()
        found |= {p.name: p.default for p in parameters if p.default is not p.empty}
    return found


def build_module(call: LayerCall, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The module that a call describes, its children first."""
    children = [build_module(child, dtype, device) for child in call.children]
    arguments = ROWS[call.name].constructed(call.kwargs, dtype, device)
    module: nn.Module = _twin(call)(*children, **arguments)
    return module.to(device, dtype)


def _twin(call: LayerCall) -> Callable[..., Any]:
    twin = ROWS[call.name].twin
    if twin is None:
        raise ValueError(f"{call} has no twin in torch: its row names none")
    return twin


class TorchOptimizer:
    """A torch.optim optimiser with an `lr` that can be assigned, on parameters of `data` and
    `grad`.
    """

    def __init__(
        self,
        kind: Callable[..., torch.optim.Optimizer],
        params: Sequence[scratch_layers.Parameter],
        **arguments: Any,
    ) -> None:
        self._params = params
        self._inner = kind([p.data for p in params], **arguments)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        rate: float = self._inner.param_groups[0]["lr"]
        return rate

    @lr.setter
    def lr(self, value: float) -> None:
        self._inner.param_groups[0]["lr"] = value

    def step(self) -> None:
        """Update the data of every parameter in place."""
        for parameter in self._params:
            parameter.data.grad = parameter.grad
        self._inner.step()


class TwinSubject(ModuleSubject):
    """A module that can be told to train, and then keeps what it learned of the data."""

    def train(self, mode: bool) -> None:
        """Let the module train, or not."""
        self.layer.train(mode)

    def observe(self, x: Tensor) -> None:
        """A forward that changes the module's buffers, which those of the subject leave alone."""
        with torch.no_grad():
            self.layer(x)


def _module(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    return TwinSubject(build_module(call, dtype, device))


def _optimizer(call: LayerCall, dtype: torch.dtype, device: torch.device) -> Subject:
    arguments, kind = call.kwargs, _twin(call)
    rates = arguments.pop("lr")
    return OptimizerSubject(
        call.name, lambda params, lr: TorchOptimizer(kind, params, lr=lr, **arguments), rates
    )


def _entry(row: Row) -> Entry:
    waivers = {**OTHER_CONTRACT, **row.departures}
    if isinstance(row.twin, type) and issubclass(row.twin, torch.optim.Optimizer):
        return Entry(f"torch.optim.{row.name}", row, _optimizer, waivers=waivers)
    return Entry(f"torch.nn.{row.name}", row, adapted(row, _module), waivers=waivers)


REFERENCES: dict[str, Entry] = {entry.name: entry for entry in map(_entry, ROWS.values())}
"""Every reference by name."""
