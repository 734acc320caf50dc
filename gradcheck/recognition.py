"""What the inputs of a subject are called, and where its arguments belong."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from gradcheck.arguments import Arrangement
from gradcheck.subjects import (
    AutogradSubject,
    FunctionSubject,
    LayerSubject,
    Subject,
    describe,
)


def input_names(subject: Subject, count: int) -> tuple[str, ...]:
    """Names for ``count`` inputs given by position: those of the function that takes them."""
    if isinstance(subject, FunctionSubject):
        return argument_names(subject.function, count)
    layer = getattr(subject, "layer", subject)
    return argument_names(layer.forward, count)


def arranged(subject: Subject, arguments: tuple[Any, ...]) -> tuple[Subject, dict[str, Tensor]]:
    """The subject that takes the tensors in ``arguments`` by name, and these tensors.

    Arguments may be trees of tensors and anything else. Raises TypeError if they hold no tensor, or
    if the subject is none of this module's and cannot be told where they belong.
    """
    placed = Arrangement(arguments, input_names(subject, len(arguments)))
    tensors = placed.tensors()
    if arguments and not tensors:
        raise TypeError(f"the arguments are {describe(arguments)}: pass at least one tensor")
    if all(isinstance(argument, Tensor) for argument in arguments):
        return subject, tensors
    if not isinstance(subject, (AutogradSubject, LayerSubject)):
        raise TypeError(
            f"the arguments of {subject.name} are {describe(arguments)}: a subject of one's own"
            " takes tensors only; bind the others in it"
        )
    changed = copy.copy(subject)
    changed.arrange = placed
    return changed, tensors


def argument_names(function: Callable[..., Any], count: int) -> tuple[str, ...]:
    """Names for ``count`` positional tensors: "input" for one, else the function's own names."""
    if count == 1:
        return ("input",)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # builtins and C functions have none
        return tuple(f"input_{i}" for i in range(count))
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in signature.parameters.values() if p.kind in positional]
    if len(names) < count:
        return tuple(f"input_{i}" for i in range(count))
    return tuple(names[:count])
