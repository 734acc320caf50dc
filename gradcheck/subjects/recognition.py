"""Of which kind a thing is, what its inputs are called, and where its arguments belong."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gradcheck.subjects.arguments import Arrangement
from gradcheck.subjects.layers import LayerSubject
from gradcheck.subjects.own_autograd import (
    AutogradFunctionSubject,
    AutogradSubject,
    FunctionSubject,
    ModuleSubject,
)
from gradcheck.subjects.protocol import Subject, describe


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
    if isinstance(f, tuple) and len(f) == 2 and all(map(callable, f)):
        return FunctionSubject(*f)
    if callable(f) and not isinstance(f, type):
        return FunctionSubject(f)
    raise TypeError(
        f"f is {describe(f)}: pass a function, an nn.Module, an autograd.Function, a pair"
        " (f, vjp), a layer with forward and backward, or a Subject"
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
    arguments = signature.parameters.values()
    names = [a.name for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    if len(names) < count:
        return tuple(f"input_{i}" for i in range(count))
    return tuple(names[:count])
