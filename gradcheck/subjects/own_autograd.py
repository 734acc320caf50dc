"""Subjects that torch's own autograd differentiates: functions, modules, autograd.Functions."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual
from torch.func import functional_call

from gradcheck.subjects.protocol import named_outputs


class AutogradSubject:
    """The common half of whatever torch's own autograd differentiates."""

    name: str
    offers: frozenset[str]
    arrange: Callable[[list[Tensor]], tuple[Any, ...]] = tuple
    _leaves: dict[str, Tensor]
    _outputs: dict[str, Tensor]

    def _run(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        with torch.enable_grad():
            tensors = {
                name: tensor.detach().requires_grad_(differentiable(tensor))
                for name, tensor in {**inputs, **parameters}.items()
            }
            self._leaves = {name: t for name, t in tensors.items() if t.requires_grad}
            self._outputs = named_outputs(
                self.call([tensors[n] for n in inputs], {n: tensors[n] for n in parameters})
            )
        return {name: output.detach() for name, output in self._outputs.items()}

    def call(self, inputs: list[Tensor], parameters: dict[str, Tensor]) -> object:
        """What is differentiated."""
        raise NotImplementedError

    def evaluate(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            return named_outputs(self.call(list(inputs.values()), dict(parameters)))

    def jvp(
        self,
        inputs: Mapping[str, Tensor],
        parameters: Mapping[str, Tensor],
        tangents: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        def dual(name: str, tensor: Tensor) -> Tensor:
            if name not in tangents:
                return tensor
            moving: Tensor = make_dual(tensor, tangents[name])  # type: ignore[no-untyped-call]
            return moving

        with dual_level():
            outputs = named_outputs(
                self.call(
                    [dual(name, tensor) for name, tensor in inputs.items()],
                    {name: dual(name, tensor) for name, tensor in parameters.items()},
                )
            )
            found = {
                n: unpack_dual(o).tangent  # type: ignore[no-untyped-call]
                for n, o in outputs.items()
                if differentiable(o)
            }
        return {n: torch.zeros_like(outputs[n]) if t is None else t for n, t in found.items()}

    def batched_vjp(
        self,
        inputs: Mapping[str, Tensor],
        parameters: Mapping[str, Tensor],
        cotangents: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        self._run(inputs, parameters)
        gradients: dict[str, Tensor] = torch.func.vmap(self.vjp)(dict(cotangents))
        return gradients

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients by autograd; where an output does not depend on a tensor they are zero."""
        return pulled_back(self._outputs, self._leaves, cotangents)


def pulled_back(
    outputs: Mapping[str, Tensor],
    leaves: Mapping[str, Tensor],
    cotangents: Mapping[str, Tensor],
    create_graph: bool = False,
) -> dict[str, Tensor]:
    """The gradients of ``leaves`` by autograd, zero where no output depends on one."""
    reached = [name for name in cotangents if outputs[name].requires_grad]
    if not reached:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    gradients = torch.autograd.grad(
        [outputs[name] for name in reached],
        list(leaves.values()),
        [cotangents[name] for name in reached],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(leaves, gradients, strict=True))


def differentiable(tensor: Tensor) -> bool:
    """Whether a tensor can have a gradient at all."""
    return tensor.is_floating_point() or tensor.is_complex()


class FunctionSubject(AutogradSubject):
    """A plain function of tensors, differentiated by autograd or by a ``vjp`` that belongs to it.

    ``vjp(*inputs, *cotangents)`` returns one gradient, or a tuple of them in the order of the
    inputs; None stands for a zero gradient. A function has no parameters: forward raises ValueError
    if some are given.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        vjp: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.offers = frozenset({"double_backward", "jvp", "vmap"}) if vjp is None else frozenset()
        self._vjp = vjp
        self._inputs: dict[str, Tensor] = {}

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name; ValueError if parameters are given."""
        if parameters:
            raise ValueError(
                f"parameters are {sorted(parameters)}: a function has none; pass them as inputs"
            )
        if self._vjp is None:
            return self._run(inputs, parameters)
        self._inputs = dict(inputs)
        return named_outputs(self.function(*self.arrange(list(inputs.values()))))

    def call(self, inputs: list[Tensor], parameters: dict[str, Tensor]) -> object:
        return self.function(*self.arrange(inputs))

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the inputs; ValueError if a given vjp returns another number of them."""
        if self._vjp is None:
            return super().vjp(cotangents)
        placed = self.arrange(list(self._inputs.values()))
        returned = self._vjp(*placed, *cotangents.values())
        gradients = returned if isinstance(returned, (tuple, list)) else (returned,)
        if len(gradients) != len(self._inputs):
            raise ValueError(
                f"vjp returned {len(gradients)} gradients for the inputs {list(self._inputs)}:"
                " return one for each, None where it is zero"
            )
        return {
            name: torch.zeros_like(tensor) if gradient is None else gradient
            for (name, tensor), gradient in zip(self._inputs.items(), gradients, strict=True)
        }


class AutogradFunctionSubject(FunctionSubject):
    """A ``torch.autograd.Function`` subclass, called through ``apply``."""

    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__(function.apply, name=function.__name__)
        base = torch.autograd.Function
        own_vmap = function.generate_vmap_rule or function.vmap is not base.vmap
        offers = {"double_backward"}
        offers |= {"jvp"} if function.jvp is not base.jvp else set()
        offers |= {"vmap"} if own_vmap else set()
        self.offers = frozenset(offers)


class ModuleSubject(AutogradSubject):
    """An ``nn.Module``, differentiated by autograd with respect to inputs and parameters.

    The module is left as it was: parameters are passed in, and buffers (running statistics) are
    copies in every call, so that each forward starts from the same state.
    """

    def __init__(self, module: nn.Module) -> None:
        self.layer = module
        self.name = type(module).__name__
        self.offers = frozenset({"state", "double_backward", "jvp", "vmap"})

    def parameters(self) -> dict[str, Tensor]:
        """The module's own parameters by name, detached."""
        return {name: p.detach() for name, p in self.layer.named_parameters()}

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name; parameters that are not given keep the module's own values."""
        return self._run(inputs, parameters)

    def call(self, inputs: list[Tensor], parameters: dict[str, Tensor]) -> object:
        buffers = {name: buffer.clone() for name, buffer in self.layer.named_buffers()}
        result: object = functional_call(
            self.layer, {**parameters, **buffers}, self.arrange(inputs)
        )
        return result
