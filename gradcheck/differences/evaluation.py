"""A subject evaluated at many points: all outputs flat, in float64, on the CPU.

The subject is a function of one tensor here, all others kept. Many points share a call under
``torch.func.vmap`` where the subject allows it, or stacked along axis 0, but only where a
probe shows that the values are the same (a BatchNorm is another map of stacked samples), or where
the caller says so. Else there is one call for each point.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from gradcheck.subjects import Subject
from gradcheck.subjects.protocol import transformable

CHUNK_ELEMENTS = 1 << 19
"""float64 elements in one call or one table: 4 MiB, which stay within the caches."""

_WORTH_SHARING = 8  # points: fewer large ones are as fast one by one

Shared = Literal["mapped"] | frozenset[str]
"""How points share a call: under vmap, or stacked along axis 0 of these inputs."""


def judged_outputs(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The outputs that have a derivative: the floating ones."""
    return {name: output for name, output in outputs.items() if output.is_floating_point()}


def as_double(tensor: Tensor) -> Tensor:
    """Float64 on the CPU; the tensor itself where it is that already."""
    plain = tensor.dtype == torch.float64 and tensor.is_cpu
    return tensor if plain else tensor.to("cpu", torch.float64)


def flatten(outputs: Mapping[str, Tensor], rows: int | None = None) -> Tensor:
    """All floating outputs, float64 on the CPU: [M], or [rows, M] from stacked ones.

    In memory of its own: a layer may write its next result where this one lies.
    """
    shape = (-1,) if rows is None else (rows, -1)
    parts = [
        as_double(output).reshape(shape)
        for output in judged_outputs(outputs).values()
        if output.numel()
    ]
    if len(parts) == 1:
        return parts[0].clone()
    return torch.cat(parts, -1) if parts else torch.empty(0, dtype=torch.float64)


class PointError(RuntimeError):
    """The subject has no comparable value at a point near the one that is judged."""


class Evaluator:
    """A subject at a base point: values of all outputs where one tensor is moved.

    ``inputs`` and ``parameters`` are the base point; they are never written to. ``told_stacked``
    is the caller's word that every input and output has the samples along axis 0. ``outputs`` are
    those at the base, if they are known from tensors that lie contiguous in memory. ``sharing``
    keeps how points of a tensor share calls, None where they do not, once that is known. ``called``
    is told of every call.
    """

    def __init__(
        self,
        subject: Subject,
        inputs: Mapping[str, Tensor],
        parameters: Mapping[str, Tensor],
        told_stacked: bool,
        outputs: Mapping[str, Tensor] | None = None,
        sharing: dict[str, Shared | None] | None = None,
        called: Callable[[], None] = lambda: None,
    ) -> None:
        self.subject = subject
        graphless = {"jvp", "vmap"} & subject.offers  # cheaper, where it is there
        self._evaluate = transformable(subject).evaluate if graphless else subject.forward
        self._called = called
        self._shared = {} if sharing is None else sharing
        # plain tensors: how the given ones lie in memory is a matter between forward and vjp
        self.inputs = {name: _plain_copy(t) for name, t in inputs.items()}
        self.parameters = {name: _plain_copy(t) for name, t in parameters.items()}
        self._told_stacked = told_stacked
        outputs = judged_outputs(self._forward({}) if outputs is None else outputs)
        self.output_names = tuple(outputs)
        self.output_dtypes = tuple(output.dtype for output in outputs.values())
        self.base = flatten(outputs)

    def tensor(self, name: str) -> Tensor:
        """The base value of an input or parameter."""
        return self.inputs[name] if name in self.inputs else self.parameters[name]

    def values_along(self, steps: Mapping[str, Tensor], times: Sequence[float]) -> Tensor:
        """Outputs where tensors move together, by each of ``times`` their ``steps``: [P, M]."""
        moved = ({n: self.tensor(n).add(step, alpha=t) for n, step in steps.items()} for t in times)
        return torch.stack([self._flat(its) for its in moved])

    def shares_calls(self, name: str) -> bool:
        """Whether points of ``name`` share a call, and it is worth it."""
        shared, together = self._points_together(name)
        return shared is not None and together >= _WORTH_SHARING

    def values(self, name: str, points: Tensor) -> Tensor:
        """Outputs where ``name`` takes each of ``points`` [P, *shape]: [P, M] float64."""
        shared, together = self._points_together(name)
        if shared is None:
            return self._one_by_one(name, points)
        parts = torch.split(points, together)
        return torch.cat([self._in_one_call(name, part, shared) for part in parts])

    def values_on(self, name: str, directions: Tensor, offsets: Tensor) -> Tensor:
        """Outputs at the base plus ``offsets`` [P] float64 times ``directions`` [L, *shape].

        [P, L, M] float64. No more points are kept than share a call.
        """
        base = self.tensor(name)
        places = offsets.to(base)
        _, together = self._points_together(name)
        if not self.shares_calls(name):
            rows = [self._flat({name: base + t * d}) for t in places for d in directions]
            return torch.stack(rows).reshape(len(offsets), len(directions), -1)
        parts = []
        for some in torch.split(places, max(1, together // len(directions))):
            points = base + some.reshape(-1, 1, *[1] * base.dim()) * directions
            parts.append(self.values(name, points.flatten(0, 1)))
        return torch.cat(parts).reshape(len(offsets), len(directions), -1)

    def _points_together(self, name: str) -> tuple[Shared | None, int]:
        """How points of ``name`` share a call, and how many at most."""
        shared = self._shared.get(name)
        size = self.tensor(name).numel() + self.base.numel()
        if shared is not None and shared != "mapped":
            size += sum(self.inputs[n].numel() for n in shared - {name})
        return shared, max(1, CHUNK_ELEMENTS // size)

    def probe_sharing(self, name: str, error: Tensor) -> None:
        """Find out whether points of ``name`` may share a call; a value errs by ``error`` [M].

        Three different points are tried in every way that there is, unless that was done before.
        """
        if name in self._shared:
            return
        self._shared[name] = None
        ways = self._ways_to_share(name)
        if self._told_stacked and ways:
            self._shared[name] = frozenset(self.inputs)
            return
        points = _three_points(self.tensor(name))
        apart: Tensor | None = None
        for shared in ways:
            together = self._try_together(name, points, shared)
            if together is None:
                continue
            if apart is None:  # the first of the points is the base
                apart = torch.cat([self.base[None], self._one_by_one(name, points[1:])])
            if bool(((together - apart).abs() <= 2 * error).all()):
                self._shared[name] = shared
                return

    def _ways_to_share(self, name: str) -> list[Shared]:
        """What may be tried: vmap, all inputs stacked, this one alone stacked."""
        if not self.base.numel() or not self.tensor(name).numel():
            return []
        ways: list[Shared] = []
        if "vmap" in self.subject.offers:
            ways.append("mapped")
        if name in self.inputs and self.inputs[name].dim():
            ways += [
                stacked
                for stacked in dict.fromkeys((frozenset(self.inputs), frozenset({name})))
                if all(self.inputs[n].dim() for n in stacked)
            ]
        return ways

    def _try_together(self, name: str, points: Tensor, shared: Shared) -> Tensor | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # vmap warns where it is a slow loop itself
                return self._in_one_call(name, points, shared)
        except Exception:  # the subject refuses such shapes, or what vmap makes of its tensors
            return None

    def _one_by_one(self, name: str, points: Tensor) -> Tensor:
        return torch.stack([self._flat({name: point}) for point in points])

    def _in_one_call(self, name: str, points: Tensor, shared: Shared) -> Tensor:
        if shared == "mapped":
            return self._mapped(name, points)
        return self._in_one_stack(name, points, shared)

    def _mapped(self, name: str, points: Tensor) -> Tensor:
        subject = transformable(self.subject)

        def outputs(point: Tensor) -> dict[str, Tensor]:
            inputs, parameters = self._with({name: point})
            self._called()
            return judged_outputs(subject.evaluate(inputs, parameters))

        return flatten(torch.func.vmap(outputs)(points), len(points))

    def _in_one_stack(self, name: str, points: Tensor, stacked: frozenset[str]) -> Tensor:
        count = len(points)
        moved = {}
        for other in stacked:
            if other == name:
                moved[other] = points.flatten(0, 1)
            else:
                tensor = self.inputs[other]
                moved[other] = tensor.expand(count, *tensor.shape).flatten(0, 1)
        outputs = judged_outputs(self._forward(moved))
        if sum(output.numel() for output in outputs.values()) != count * self.base.numel():
            raise ValueError(
                f"{count} samples stacked along axis 0 do not give {count} times the outputs: leave"
                " batch_axis out"
            )
        return flatten(outputs, count)

    def _with(self, moved: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Inputs and parameters at the base, but for those that are ``moved``."""
        return (
            {name: moved.get(name, tensor) for name, tensor in self.inputs.items()},
            {name: moved.get(name, tensor) for name, tensor in self.parameters.items()},
        )

    def _forward(self, moved: Mapping[str, Tensor]) -> dict[str, Tensor]:
        inputs, parameters = self._with(moved)
        try:
            return self._evaluate(inputs, parameters)
        except Exception as error:
            if not moved:
                raise
            raise PointError(
                f"{self.subject.name} at a point beside the given one, with {list(moved)} moved,"
                f" raised {type(error).__name__}: {error}; judge it at a point around which it has"
                " values"
            ) from error
        finally:
            self._called()

    def _flat(self, moved: Mapping[str, Tensor]) -> Tensor:
        """All outputs at one point, as many as at the base."""
        values = flatten(self._forward(moved))
        if len(values) != len(self.base):
            raise PointError(
                f"{self.subject.name} gave {len(values)} numbers instead of {len(self.base)} with"
                f" {list(moved)} moved: the shapes of the outputs must not depend on values"
            )
        return values


def _plain_copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _three_points(base: Tensor) -> Tensor:
    """The base and two more that differ from it everywhere, positive where it is positive."""
    filled = torch.where(base == 0, power_of_two_near(base), base)
    return torch.stack([base, filled / 2, filled / 4 + filled.roll(1) / 2])


def power_of_two_near(tensor: Tensor) -> float:
    """The power of two nearest to the largest absolute value; 1 for zeros and for no elements."""
    largest = tensor.abs().max().item() if tensor.numel() else 0.0
    return 2.0 ** round(math.log2(largest)) if largest else 1.0
