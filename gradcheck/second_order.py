"""Second derivatives: the gradient of a gradient, judged like any other.

The map (inputs, cotangents) -> gradients is itself a function with a backward, the double backward.
Three ways to be wrong are told apart: a double backward that is refused, one that is cut off
(detached), and one that gives wrong numbers.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from gradcheck.check import check_gradients, draw_cotangents, own_parameters
from gradcheck.reporting.report import GradientReport, Method
from gradcheck.subjects import (
    AutogradSubject,
    as_subject,
    differentiable,
    named_outputs,
    pulled_back,
)
from gradcheck.subjects.protocol import Tensors
from gradcheck.subjects.recognition import arranged


class SecondOrder(AutogradSubject):
    """The gradients of an autograd subject, as a function of its inputs and cotangents.

    The last inputs are the cotangents, one for each of ``outputs``.
    """

    def __init__(self, first: AutogradSubject, outputs: tuple[str, ...]) -> None:
        self.name = f"the gradient of {first.name}"
        self.offers: frozenset[str] = frozenset()
        self._first, self._names = first, outputs

    def forward(self, inputs: Tensors, parameters: Tensors) -> dict[str, Tensor]:
        """The gradients by place."""
        return self._run(inputs, parameters)

    @property
    def cut_off(self) -> bool:
        """Whether the gradients of the latest forward have no graph."""
        return not any(gradient.requires_grad for gradient in self._outputs.values())

    @property
    def refused(self) -> bool:
        """Whether once_differentiable cut the graph of some gradient of the latest forward."""
        return any(_has_error_node(gradient.grad_fn) for gradient in self._outputs.values())

    def call(self, inputs: list[Tensor], parameters: dict[str, Tensor]) -> object:
        """The first backward, with a graph."""
        count = len(inputs) - len(self._names)
        own, cotangents = inputs[:count], dict(zip(self._names, inputs[count:], strict=True))
        outputs = named_outputs(self._first.call(own, parameters))
        everything = [*own, *parameters.values()]
        leaves = {str(i): t for i, t in enumerate(everything) if differentiable(t)}
        return tuple(pulled_back(outputs, leaves, cotangents, create_graph=True).values())


def check_second_order(
    f: Any,
    *arguments: Any,
    method: Literal["auto"] | Method = "auto",
    seed: int = 0,
) -> GradientReport:
    """Judge the double backward of ``f``, a function, an nn.Module or an autograd.Function.

    The gradients of all inputs and parameters are differentiated by the inputs, the parameters and
    the cotangents. The first derivative is taken as it is: judge it by ``check_gradients`` first.

    Args:
        f: what autograd differentiates twice.
        *arguments: as in ``check_gradients``.
        method: as there.
        seed: as there.

    Returns:
        A report. A double backward that is refused (``once_differentiable``) or cut off is a
        complaint in it, and no wrong number.

    Raises:
        TypeError: ``f`` is not differentiated by autograd.
    """
    first, inputs = arranged(as_subject(f), arguments)
    if not isinstance(first, AutogradSubject) or "double_backward" not in first.offers:
        raise TypeError(
            f"f is {first.name}, whose backward is not autograd's: only what autograd can"
            " differentiate twice has a second derivative here"
        )
    parameters = own_parameters(first)
    outputs = first.forward(inputs, parameters)
    (drawn, *_), _ = draw_cotangents(outputs, torch.Generator().manual_seed(seed))
    # one number as large as the others: drawn cotangents are integers of up to 2^8
    named = {f"cotangent of {name}": c / c.abs().max() for name, c in drawn.items()}
    second = SecondOrder(first, tuple(drawn))
    report = check_gradients(
        second, inputs={**inputs, **named}, parameters=parameters, method=method, seed=seed
    )
    sentence = ""
    if second.refused:
        sentence = "refused by once_differentiable, which autograd takes for zero without a word"
    elif second.cut_off and report.mismatches:
        sentence = (
            "cut off: backward computes on tensors without a graph, so autograd takes the second"
            " derivative for zero, and it is not"
        )
    return GradientReport(second.name, (), (sentence,), "estimated", ()) if sentence else report


def _has_error_node(node: Any) -> bool:
    """Whether the graph of a gradient ends in the node that once_differentiable puts there."""
    seen, waiting = set(), [node]
    while waiting:
        current = waiting.pop()
        if current is None or current in seen:
            continue
        if "Error" in current.name():
            return True
        seen.add(current)
        waiting += [following for following, _ in current.next_functions]
    return False
