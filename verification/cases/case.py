"""A Case says everything about one experiment, and nothing but plain data.

Hypothesis draws Cases, a Trial makes one real, a case file stores one. Nothing here imports torch:
a Case can be read, compared, hashed and written where no layer can run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from verification.cases.subject_spec import SubjectSpec

Scalar = None | bool | int | float | str
"""What an argument is made of; an argument is a Scalar or a (nested) tuple of them."""


REAL = "real"
"""The domain of a tensor that may hold any number."""


class Role(StrEnum):
    """What a tensor is to the layer."""

    INPUT = "input"
    PARAMETER = "parameter"
    COTANGENT = "cotangent"


@dataclass(frozen=True, slots=True)
class Values:
    """Where a tensor's elements come from: a value family and its seed, or the elements themselves.

    `stored` holds the elements in row-major order and wins over the family; minimising a case fills
    it in.
    """

    family: str = "integers"
    seed: int = 0
    stored: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: name, role, shape, values and memory layout.

    `shape` is None for a cotangent: the output it belongs to supplies it. `dtype` is None where it
    is the Case's. `domain` says which numbers it may hold: the values are drawn by their family and
    brought into it.
    """

    name: str
    role: Role
    shape: tuple[int, ...] | None = None
    values: Values = Values()
    layout: str = "contiguous"
    dtype: str | None = None
    domain: str = REAL


@dataclass(frozen=True, slots=True)
class LayerCall:
    """How a layer is built: its kind's name, its arguments, and the layers inside it."""

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()
    children: tuple[LayerCall, ...] = ()

    @classmethod
    def of(cls, name: str, *children: LayerCall, **arguments: Any) -> LayerCall:
        """LayerCall.of("Conv2d", in_channels=1, out_channels=2, kernel_size=(3, 1))."""
        return cls(name, tuple(arguments.items()), children)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments as a dict."""
        return dict(self.arguments)

    def with_arguments(self, **changes: Any) -> LayerCall:
        """The same call with some arguments replaced or added."""
        return replace(self, arguments=tuple({**self.kwargs, **changes}.items()))

    def walk(self) -> Iterator[LayerCall]:
        """This call and every call inside it, outermost first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def __str__(self) -> str:
        inside = [str(child) for child in self.children]
        inside += [f"{name}={value!r}" for name, value in self.arguments]
        return f"{self.name}({', '.join(inside)})"


SAME = "Same"
"""The name of a child that is no new layer, but the one at `place` among those before it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One step of a drawn sequence of calls: what is called, and the tensors it gets.

    Kinds: "forward" (inputs), "backward" (a cotangent), "zero_grad", "set_parameters" (new values).
    """

    kind: str
    tensors: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One experiment: subject, layer, tensors, calls, the property that judges it, device and
    dtype.

    `options` are what the property itself drew (an axis, a permutation's seed, an expected error).
    """

    subject: SubjectSpec
    layer: LayerCall
    tensors: tuple[TensorSpec, ...]
    property: str
    dtype: str = "float32"
    device: str = "cpu"
    calls: tuple[Call, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    def of_role(self, role: Role) -> tuple[TensorSpec, ...]:
        """The tensors that play one role, in order."""
        return tuple(spec for spec in self.tensors if spec.role is role)

    def option(self, name: str, default: Any = None) -> Any:
        """One of the property's own draws."""
        return dict(self.options).get(name, default)

    def with_tensor(self, spec: TensorSpec) -> Case:
        """The same case with the tensor of that name replaced."""
        tensors = tuple(spec if old.name == spec.name else old for old in self.tensors)
        return replace(self, tensors=tensors)
