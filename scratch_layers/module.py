"""The contract of a layer: `forward`, `backward` by hand, parameters and their gradients.

A layer is a `Module`. `forward` computes the output and records what `backward` will need;
`backward` takes the gradient of some scalar loss with respect to the output (the cotangent), adds
the parameters' gradients to their buffers and returns the gradient with respect to the input.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from scratch_layers.checks import (
    Device,
    floating_dtype,
    floating_tensor,
    same_kind,
    same_shape,
    writable,
)


class Parameter:
    """A tensor that is learned, `data`, and the gradient accumulated for it, `grad`.

    `data` may be rebound to another tensor; the layer then uses that one, whatever its layout.
    """

    def __init__(self, data: Tensor) -> None:
        self.data = floating_tensor("data", data).detach()
        self.grad = torch.zeros_like(self.data)

    def zero_grad(self) -> None:
        """Zero the gradient in place, or replace it where it no longer fits a rebound `data`."""
        grad, data = self.grad, self.data
        if (grad.shape, grad.dtype, grad.device) == (data.shape, data.dtype, data.device):
            self.grad.zero_()
        else:
            self.grad = torch.zeros_like(self.data)

    def __repr__(self) -> str:
        return f"Parameter(shape={tuple(self.data.shape)}, dtype={self.data.dtype})"


class Record:
    """What one forward leaves for its backward: the tensors it read, and the shape it returned.

    The tensors are kept, not copied, each with torch's count of its in-place changes (`_version`),
    so that a backward on changed data can be refused. Tensors made under `torch.inference_mode`
    have no such count: leaving them alone between forward and backward is then up to the caller.
    """

    def __init__(self, output: Tensor, **tensors: Tensor) -> None:
        self.tensors = tensors
        self.versions = {name: _version(tensor) for name, tensor in tensors.items()}
        self.output_shape = output.shape


def latest(record: Record | None, owner: str) -> Record:
    """The record of the latest forward.

    Raises RuntimeError if there was none, or if a recorded tensor was changed in place since.
    """
    if record is None:
        raise RuntimeError(f"{owner}.backward was called before forward: call forward first")
    for name, tensor in record.tensors.items():
        if _version(tensor) != record.versions[name]:
            raise RuntimeError(
                f"{owner}.backward: {name}, of shape {tuple(tensor.shape)}, was changed in "
                "place after forward, so the gradient of that call is lost: call forward again"
            )
    return record


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


class Module:
    """A layer with a hand-written derivative.

    A subclass writes `forward`, which ends with `self._record = Record(output, input=..., ...)`
    (parameters under the names of their attributes), and `backward`, which begins with
    `record = self._recall(grad_output)`. Attributes that are Parameters or Modules are found by
    name, in the order of their assignment.

    Errors of every layer. `forward`: TypeError for what is no tensor, ValueError for a wrong
    shape, dtype or device. `backward`: RuntimeError before any forward, or when the input or a
    parameter was changed in place since; ValueError for a cotangent that does not fit the output.
    """

    _record: Record | None = None

    def forward(self, input: Tensor) -> Tensor:
        """The layer's output, a fresh tensor; `input` is left alone."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(input)")

    def backward(self, grad_output: Tensor) -> Tensor:
        """The input's gradient in the latest forward; parameters' gradients are added to `grad`."""
        raise NotImplementedError(f"{type(self).__name__} must define backward(grad_output)")

    def backward_parameters(self, grad_output: Tensor) -> None:
        """`backward` where nobody asks for the input's gradient, as of a network's first layer.

        The parameters' gradients are the same, bit by bit. A layer that can do so leaves the
        input's gradient out; it must then define this method wherever it defines `backward`.
        """
        self.backward(grad_output)

    def __call__(self, input: Tensor) -> Tensor:
        """The same as `forward`."""
        return self.forward(input)

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """The layers directly inside this one, by name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The parameters that are attributes of this layer itself, by name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Parameter))

    def modules(self) -> Iterator["Module"]:
        """This layer and every layer inside it, at any depth."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """All parameters under torch.nn's names, such as "0.weight" inside a Sequential."""
        named = list(self.own_parameters())
        for prefix, child in self.children():
            named += [(f"{prefix}.{name}", value) for name, value in child.named_parameters()]
        return named

    def parameters(self) -> list[Parameter]:
        """All parameters, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def param(self) -> list[tuple[Tensor, Tensor]]:
        """The report's form: a pair (value, gradient) for every parameter, not copied."""
        return [(parameter.data, parameter.grad) for parameter in self.parameters()]

    def zero_grad(self) -> None:
        """Zero every parameter's gradient."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all parameter values by name; later training does not change them."""
        return {name: parameter.data.clone() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy values into the parameters in place, rounded to the parameters' dtype.

        Raises TypeError if `state` is no mapping to tensors, ValueError for a missing, extra or
        mis-shaped entry, or where a parameter was rebound to an expanded tensor; nothing has been
        copied then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state is a {type(state).__name__}; it must map names to tensors")
        named = dict(self.named_parameters())
        missing = [name for name in named if name not in state]
        extra = [name for name in state if name not in named]
        if missing or extra:
            raise ValueError(
                f"state has missing entries {missing} and extra entries {extra}; "
                f"it must have exactly {list(named)}"
            )
        for name, parameter in named.items():
            value = floating_tensor(f"state[{name!r}]", state[name])
            same_shape(f"state[{name!r}]", value, parameter.data.shape, "the parameter's shape")
        # What is wrong with the state comes before what it cannot be written to.
        for name, parameter in named.items():
            writable(f"{name}.data", parameter.data)
        for name, parameter in named.items():
            parameter.data.copy_(state[name].detach())

    def to(self, device: Device = None, dtype: torch.dtype | None = None) -> Self:
        """Move every parameter and gradient, forget the latest forward, and return the layer."""
        if isinstance(device, torch.dtype):
            raise TypeError(f"device is {device}; pass a dtype by name: to(dtype={device})")
        if dtype is not None:
            floating_dtype(dtype)
        parameters = self.parameters()
        moved = [(p.data.to(device, dtype), p.grad.to(device, dtype)) for p in parameters]
        for parameter, (data, grad) in zip(parameters, moved, strict=True):
            parameter.data, parameter.grad = data, grad
        for module in self.modules():
            module._record = None
        return self

    def require_ready(self) -> Record:
        """The record of the latest forward, after checking that backward can differentiate it.

        Parameters are looked up by name: going through all attributes takes 40 us of a small step.
        """
        record = latest(self._record, type(self).__name__)
        for name, used in record.tensors.items():
            parameter, remedy = vars(self).get(name), "call zero_grad() and then forward"
            if isinstance(parameter, Parameter):
                fit = f"the shape of {name}: {remedy}"
                same_shape(f"{name}.grad", parameter.grad, used.shape, fit)
                same_kind(f"{name}.grad", parameter.grad, name, used, remedy)
        return record

    def _recall(self, grad_output: Tensor) -> tuple[Record, Tensor]:
        """The record for backward, and the cotangent without its autograd history, both checked."""
        record = self.require_ready()
        floating_tensor("grad_output", grad_output)
        same_shape("grad_output", grad_output, record.output_shape, "the shape of the output")
        for_input = "convert grad_output, or run forward on what it belongs to"
        same_kind("grad_output", grad_output, "input", record.tensors["input"], for_input)
        return record, grad_output.detach()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Sequential(Module):
    """Layers applied one after the other; backward goes through them in reverse.

    y = f_k(... f_2(f_1(x))), so dx = f_1'(... f_k'(dy)). Parameters are named by position, such
    as "0.weight". Without layers it returns copies. The same instance cannot stand twice inside
    it, at any depth, because a layer remembers one forward only; that is a ValueError.
    """

    def __init__(self, *modules: Module) -> None:
        seen: set[int] = set()
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(
                    f"modules[{i}] is a {type(module).__name__}; every argument must be a Module"
                )
            for inner in module.modules():
                if id(inner) in seen:
                    raise ValueError(
                        f"modules[{i}] is or contains the {type(inner).__name__} instance that is "
                        "already in this Sequential; it must be another instance: build a new one"
                    )
                seen.add(id(inner))
        self.layers = modules
        self._inner_records: Sequence[Record | None] = ()

    def children(self) -> Iterator[tuple[str, Module]]:
        """The layers, named "0", "1", ..."""
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def forward(self, input: Tensor) -> Tensor:
        """The last layer's output.

        A layer that refuses half-way leaves the layers before it with records of this call, and the
        chain without one.
        """
        output = floating_tensor("input", input).detach()
        self._record = None
        for layer in self.layers:
            output = layer.forward(output)
        if not self.layers:
            output = output.clone()
        self._inner_records = [layer._record for layer in self.layers]
        self._record = Record(output, input=input.detach())
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """The first layer's input gradient; nothing is accumulated unless all layers are ready."""
        _, gradient = self._recall(grad_output)
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient if self.layers else gradient.clone()

    def backward_parameters(self, grad_output: Tensor) -> None:
        """The same without the first layer's input gradient."""
        _, gradient = self._recall(grad_output)
        for layer in reversed(self.layers[1:]):
            gradient = layer.backward(gradient)
        for layer in self.layers[:1]:
            layer.backward_parameters(gradient)

    def require_ready(self) -> Record:
        """The record of the latest forward, after the same check of every layer."""
        record = super().require_ready()
        for i, layer in enumerate(self.layers):
            layer.require_ready()
            if layer._record is not self._inner_records[i]:
                raise RuntimeError(
                    f"Sequential.backward: layer {i}, {layer!r}, was called on its own after "
                    "forward, so the gradient of that call is lost: call forward again"
                )
        return record

    def __repr__(self) -> str:
        lines = [f"  ({name}): {layer!r}".replace("\n", "\n  ") for name, layer in self.children()]
        return "\n".join(["Sequential(", *lines, ")"]) if lines else "Sequential()"
