"""Activation, the base of functions applied to every element, with ReLU and Sigmoid.

dx = dy f'(x), element by element: one backward for all of them. Inputs have any shape and floating
dtype; 16-bit inputs are computed in float32 and rounded once.
"""

import torch
from torch import Tensor

from scratch_layers.checks import floating_tensor, working_dtype
from scratch_layers.module import Module, Record

INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}
"""The integers as wide as a working dtype."""


class Activation(Module):
    """y = f(x) for every element. A subclass writes `function` and `pullback`, on plain tensors."""

    def function(self, x: Tensor) -> Tensor:
        """f(x), a fresh tensor of x's shape."""
        raise NotImplementedError(f"{type(self).__name__} must define function(x)")

    def pullback(self, x: Tensor, dy: Tensor) -> Tensor:
        """The product dy f'(x), a fresh tensor of x's shape."""
        raise NotImplementedError(f"{type(self).__name__} must define pullback(x, dy)")

    def forward(self, input: Tensor) -> Tensor:
        """f(input), of the input's shape and dtype."""
        x = floating_tensor("input", input).detach()
        output = self.function(x.to(working_dtype(x.dtype))).to(x.dtype)
        self._record = Record(output, input=x)
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """The cotangent times f'(input), of the input's shape and dtype."""
        record, dy = self._recall(grad_output)
        x = record.tensors["input"]
        wide = working_dtype(x.dtype)
        return self.pullback(x.to(wide), dy.to(wide)).to(x.dtype)


class ReLU(Activation):
    """y = max(x, 0); NaN stays NaN.

    The derivative is 1 for x > 0 and 0 for x <= 0, at 0 and -inf too. Where it is 0 the gradient is
    0 even if dy is infinite, and where x is NaN the gradient is dy: both as in torch.
    """

    def function(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return x.clamp(min=0)

    def pullback(self, x: Tensor, dy: Tensor) -> Tensor:
        """The cotangent where x > 0, else 0.

        A product with 0 would turn infinity into NaN, and masked_fill takes a branch for every
        element: 3.1 ms for 100 x 8 x 32 x 32 of random sign. The bits of dy, and all ones or all
        zeros, take 0.2.
        """
        bits = INTEGERS[dy.dtype]
        keep = torch.le(x, 0, out=torch.empty_like(x, dtype=bits)).sub_(1)
        return keep.bitwise_and_(dy.view(bits)).view(dy.dtype)


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)), and dy/dx = y(x) y(-x).

    Both through z = exp(-|x|) <= 1, which cannot overflow: y = 1 / (1 + z) for x >= 0 and
    z / (1 + z) otherwise; dy/dx = z / (1 + z)^2. The usual y (1 - y) collapses to 0 for large x,
    where 1 - y has no digits left.
    """

    def function(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(-x)). The numerator is the larger of z and, for x >= 0, 1: no second exp."""
        z = x.abs().neg_().exp_()
        top = torch.ge(x, 0, out=torch.empty_like(x))
        return torch.maximum(top, z, out=top).div_(z.add_(1))

    def pullback(self, x: Tensor, dy: Tensor) -> Tensor:
        """The product dy y(x) y(-x)."""
        z = x.abs().neg_().exp_()
        return z.div_((1 + z).square_()).mul_(dy)
