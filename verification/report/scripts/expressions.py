"""The expressions of a script: a tensor as a literal, as the subject takes it, as it returns it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from verification.cases import Case, Role, TensorSpec
from verification.cases.case_file import CaseFileError
from verification.subjects.driving.arguments import Matching
from verification.subjects.driving.drivers import stored_call
from verification.subjects.driving.function_calls import Call
from verification.subjects.driving.told import Adapter
from verification.subjects.driving.translation import Translation
from verification.subjects.probing.probed import Probed

INSTEAD = "to see it fail, replay the case file"
"""What can be done where there is no script."""


def variable(spec: TensorSpec) -> str:
    """The name of a tensor in the script."""
    inside = "layer_" if spec.name[:1].isdigit() else ""  # "0.weight" of a container
    cotangent = "_cotangent" if spec.role is Role.COTANGENT else ""
    return f"{inside}{spec.name.replace('.', '_')}{cotangent}"


def literal(value: Any) -> str:
    """A value as an expression; a tensor in its memory layout."""
    if not isinstance(value, Tensor):
        return repr(value)
    shape, stride = tuple(value.shape), value.stride()
    if value.is_contiguous():
        return f"torch.tensor({value.flatten().tolist()}, dtype={value.dtype}).reshape({shape})"
    span = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    memory = value.as_strided((span,), (1,)).tolist()
    return f"torch.tensor({memory}, dtype={value.dtype}).as_strided({shape}, {stride})"


def keywords(expressions: Mapping[str, str]) -> str:
    """Expressions as arguments by name."""
    return ", ".join(f"{name}={value}" for name, value in expressions.items())


def taken(spec: TensorSpec, translation: Translation) -> str:
    """A tensor as the subject takes it."""
    axes = translation.axes.get(spec.name)
    if spec.role is Role.COTANGENT:
        axes = translation.axes.get("output")
    turned = "" if axes is None else f".permute({axes})"
    return f"{variable(spec)}{turned}{'.numpy()' if translation.numpy else ''}"


def returned(
    name: str, expression: str, translation: Translation, shape: tuple[int, ...] | None = None
) -> str:
    """What the subject returned, as a tensor with its axes in the kind's order, and of its shape
    where that is given.
    """
    axes = translation.axes.get(name)
    if translation.numpy:
        expression = f"torch.as_tensor({expression})"
    if shape is not None:
        expression = f"{expression}.reshape({tuple(shape[i] for i in axes) if axes else shape})"
    return expression if axes is None else f"{expression}.permute({_inverse(axes)})"


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(axis) for axis in range(len(axes)))


def ask(what: str, indent: str = "") -> Iterator[str]:
    """End the script where its reader has to say what no file does."""
    yield f'{indent}print("say in this script {what}")'
    yield f"{indent}sys.exit(2)"


def stored(case: Case) -> tuple[Matching | Call, Translation]:
    """What the case says of the arguments of a foreign subject, and how it holds tensors."""
    if not case.subject.found:
        raise CaseFileError(
            "it does not say how its layer is built, since an earlier version wrote it: run the"
            " check again"
        )
    return stored_call(Probed.of(case.subject.found).driven, Adapter.of(case.subject.adapter))


def specs_of(case: Case, *roles: Role) -> list[TensorSpec]:
    """The case's tensors of these roles, role by role."""
    return [spec for role in roles for spec in case.of_role(role)]
