"""What is judged, under one protocol: functions, modules, autograd.Functions, hand-written layers.

A subject maps tensors by name to tensors by name, and gives the vector-Jacobian product of its
latest forward. Names: the input is "input" (the second argument of a loss "target"), further inputs
carry the names of the function's arguments, the output is "output" (several: "output_0", ...),
parameters are named as ``named_parameters()`` names them.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual
from torch.func import functional_call

from gradcheck.arguments import leaves
from gradcheck.held_parameters import find_parameters

OFFERS = frozenset({"accumulate", "zero", "state", "double_backward", "jvp", "vmap"})


@runtime_checkable
class Subject(Protocol):
    """Anything with a forward and a vector-Jacobian product, by name.

    ``vjp`` differentiates the latest ``forward`` and returns this call's gradients only, each with
    the shape of its tensor. A tensor that has no entry in the result has no gradient to judge.
    ``offers`` says what more the subject has, a subset of ``OFFERS``.
    """

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def offers(self) -> frozenset[str]:
        """What it has beside forward and vjp: a subset of ``OFFERS``."""
        ...

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name."""
        ...

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients by name, for cotangents by output name."""
        ...


def named_outputs(result: object) -> dict[str, Tensor]:
    """Outputs by name: a tensor is "output", a sequence is "output_0", ..., a mapping has its keys.

    What is nested deeper has its path, as in "output_1[0]". Raises TypeError for no tensors.
    """
    if isinstance(result, Tensor):
        return {"output": result}
    named: dict[str, object] = {}
    if isinstance(result, Mapping):
        named = {str(key): value for key, value in result.items()}
    elif isinstance(result, (tuple, list)):
        named = {f"output_{i}": value for i, value in enumerate(result)}
    found = {name: dict(leaves(value, name)) for name, value in named.items()}
    if not found or not all(found.values()):
        raise TypeError(
            f"forward returned {describe(result)}: return a tensor, or a tuple or mapping of them"
        )
    return {name: tensor for tensors in found.values() for name, tensor in tensors.items()}


def describe(result: object) -> str:
    """Its type, and those of its items."""
    if isinstance(result, (tuple, list)):
        return f"a {type(result).__name__} of {[type(item).__name__ for item in result]}"
    return f"a {type(result).__name__}"


class AutogradSubject:
    """The common half of whatever torch's own autograd differentiates."""

    name: str
    offers: frozenset[str]
    arrange: Callable[[list[Tensor]], tuple[Any, ...]] = tuple

    def __init__(self) -> None:
        self._leaves: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}

    def _run(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        with torch.enable_grad():
            tensors = {
                name: tensor.detach().requires_grad_(differentiable(tensor))
                for name, tensor in (*inputs.items(), *parameters.items())
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
        tensors = {**inputs, **parameters}

        def outputs(leaves: dict[str, Tensor]) -> dict[str, Tensor]:
            moved = {**tensors, **leaves}
            placed = [moved[name] for name in inputs], {name: moved[name] for name in parameters}
            named = named_outputs(self.call(*placed))
            return {name: named[name] for name in cotangents}

        leaves = {name: t for name, t in tensors.items() if differentiable(t)}
        pull_back = torch.func.vjp(outputs, leaves)[1]
        gradients: dict[str, Tensor] = torch.func.vmap(pull_back)(dict(cotangents))[0]
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
        super().__init__()
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
        own_vmap = getattr(function, "generate_vmap_rule", False) or function.vmap is not base.vmap
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
        super().__init__()
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
        result: object = functional_call(self.layer, (parameters, buffers), self.arrange(inputs))
        return result


def _takes_arguments(method: Callable[..., Any]) -> bool:
    code = getattr(method, "__code__", None)  # inspect alone takes as long as a call
    return getattr(code, "co_argcount", 0) > 1 or bool(inspect.signature(method).parameters)


class LayerSubject:
    """A hand-written object with ``forward`` and ``backward``.

    Its parameters are found by ``named_parameters()``, else ``parameters()`` (objects with ``data``
    and ``grad``), else ``param()`` (pairs of value and gradient); those without a name take that of
    the attribute that holds them, or their place. Values given to ``forward`` are rebound
    (``p.data = value``), not copied, whatever their memory layout; ``restoring`` puts things back.
    ``backward`` takes the cotangents in the order of the outputs and returns the gradient of the
    input, or a tuple for the first inputs. One that takes no argument is a loss's: its result is
    the gradient for cotangent 1.
    """

    arrange: Callable[[list[Tensor]], tuple[Any, ...]] = tuple

    def __init__(self, layer: Any) -> None:
        for method in ("forward", "backward"):
            if not callable(getattr(layer, method, None)):
                raise TypeError(
                    f"layer is a {type(layer).__name__} without {method}(): a hand-written layer"
                    " has forward(x) and backward(grad_output)"
                )
        self.layer = layer
        self.name = type(layer).__name__
        self._parameters = {p.name: p for p in find_parameters(layer)}
        self._takes_cotangent = _takes_arguments(layer.backward)
        self._input_names: tuple[str, ...] = ()
        offers = {"accumulate"} if self._parameters else set()
        offers |= {"zero"} if hasattr(layer, "zero_grad") else set()
        offers |= {"state"} if hasattr(layer, "state_dict") else set()
        self.offers = frozenset(offers)

    def parameters(self) -> dict[str, Tensor]:
        """Copies of the layer's own parameter values by name."""
        return {name: p.value.detach().clone() for name, p in self._parameters.items()}

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name, after the given parameters were rebound; ValueError for unknown ones."""
        for name, value in parameters.items():
            if name not in self._parameters:
                raise ValueError(
                    f"parameter {name!r} is unknown to {self.name}: it has {list(self._parameters)}"
                )
            self._parameters[name].rebind(value)
        self._input_names = tuple(inputs)
        return named_outputs(self.layer.forward(*self.arrange(list(inputs.values()))))

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the latest forward: the buffers are zeroed first."""
        for parameter in self._parameters.values():
            parameter.zero()
        if self._takes_cotangent:
            returned = self.layer.backward(*cotangents.values())
        else:
            (cotangent,) = cotangents.values()
            returned = self.layer.backward() * cotangent.detach()
        by_input = returned if isinstance(returned, (tuple, list)) else (returned,)
        gradients: dict[str, Tensor] = {
            name: gradient
            for name, gradient in zip(self._input_names, by_input, strict=False)
            if gradient is not None
        }
        for name, parameter in self._parameters.items():
            buffer = parameter.gradient
            # a copy: the layer's buffer is zeroed and filled again by the next call
            gradients[name] = (
                torch.zeros_like(parameter.value) if buffer is None else buffer.clone()
            )
        return gradients

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Put parameter values and gradients back at the end, also after an exception."""
        kept = [parameter.keep() for parameter in self._parameters.values()]
        try:
            yield
        finally:
            for put_back in kept:
                put_back()


def as_subject(f: object) -> Subject:
    """Bring ``f`` under the protocol by the adapter of its kind; a subject stays itself.

    Raises TypeError for what is none of the kinds.
    """
    if hasattr(f, "vjp") and isinstance(f, Subject):  # the second alone takes as long as a call
        return f
    if isinstance(f, type) and issubclass(f, torch.autograd.Function):
        return AutogradFunctionSubject(f)
    if hasattr(f, "forward") and hasattr(f, "backward"):
        return LayerSubject(f)
    if isinstance(f, nn.Module):
        return ModuleSubject(f)
    if isinstance(f, tuple) and len(f) == 2 and callable(f[0]) and callable(f[1]):
        return FunctionSubject(*f)
    if callable(f) and not isinstance(f, type):
        return FunctionSubject(f)
    raise TypeError(
        f"f is {describe(f)}: pass a function, an nn.Module, an autograd.Function, a pair"
        " (f, vjp), a layer with forward and backward, or a Subject"
    )
