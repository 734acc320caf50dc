"""A kind of map that gradcheck must find right, and find a small fault in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from verification.meta.gradients.promise import Promise, Subject, at, each, right, wrong


class Off(torch.autograd.Function):
    """The identity; its gradient is wrong by `share` at one place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, place: int, share: float) -> Tensor:
        ctx.place, ctx.share = place, share
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        gradient = grad_outputs[0].clone().reshape(-1)
        gradient[ctx.place] *= 1 + ctx.share
        return gradient.reshape(grad_outputs[0].shape), None, None


class Kind(NamedTuple):
    """A map, its arguments, the smallest share seen of an error at a place of the first of them
    (None where no such fault can be put in), and what the report says.
    """

    name: str
    make: Callable[[], Subject]
    share: float | None = None
    place: int = 0
    said: Mapping[str, Any] = MappingProxyType({})
    methods: bool = False

    def promises(self) -> Iterator[Promise]:
        """That it is right, and that the fault is seen."""
        kinds = each if self.methods else _once
        yield from kinds(right, self.name, self.make, **self.said)
        if self.share is None:
            return
        options = {key: self.said[key] for key in ("seed", "wrt") if key in self.said}
        first = self.said.get("judged", ("input",))[0]
        argument = self.make()[1]
        entry = tuple(int(i) for i in torch.unravel_index(torch.tensor(self.place), argument.shape))
        name = f"{self.name}, off by {self.share:g}"
        yield from kinds(wrong, name, self.off, {first: at(entry)}, **options)

    def off(self) -> Subject:
        """The map with the fault."""
        f, *arguments = self.make()

        def spoiled(x: Tensor, *rest: Any) -> Any:
            return f(Off.apply(x, self.place, self.share), *rest)

        if not isinstance(f, nn.Module):
            # Names of arguments are read from the function's signature.
            spoiled.__wrapped__ = f  # type: ignore[attr-defined]
        return spoiled, *arguments


def _once(make: Callable[..., Promise], *arguments: Any, **options: Any) -> Iterator[Promise]:
    yield make(*arguments, **options)
