"""Trees of tensors: arguments and results that are tuples, lists and mappings of anything.

The tensors of a tree get names by their path (``state[0]``, ``state['hidden']``); what is no tensor
stays where it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Arrangement:
    """Where tensors belong among a function's arguments; called with tensors, it puts them there.

    ``names`` has one name for each argument.
    """

    arguments: tuple[Any, ...]
    names: tuple[str, ...]

    def tensors(self) -> dict[str, Tensor]:
        """The tensors in the arguments, by their paths."""
        pairs = zip(self.arguments, self.names, strict=True)
        return {path: tensor for tree, name in pairs for path, tensor in leaves(tree, name)}

    def __call__(self, tensors: Sequence[Tensor]) -> tuple[Any, ...]:
        """The arguments with ``tensors``, in the order of ``tensors()``, in their places."""
        rest = iter(tensors)
        return tuple(_replaced(argument, lambda: next(rest)) for argument in self.arguments)


def leaves(tree: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of ``tree`` with their paths, depth first."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{name}[{key!r}]")
    elif isinstance(tree, (tuple, list)):
        for place, value in enumerate(tree):
            yield from leaves(value, f"{name}[{place}]")


def _replaced(tree: Any, replacement: Callable[[], Tensor]) -> Any:
    """The same tree with its tensors replaced, in the order of ``leaves``."""
    if isinstance(tree, Tensor):
        return replacement()
    if isinstance(tree, Mapping):
        return {key: _replaced(value, replacement) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        values = [_replaced(value, replacement) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return tree
