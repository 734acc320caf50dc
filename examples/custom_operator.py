"""RMSNorm as a custom operator of torch.library, with a backward of its own.

The seeded fault: the backward computes the root again, and forgets the eps in it. On numbers of a
usual size nobody sees that.
"""

import torch
from torch import Tensor


@torch.library.custom_op("verification_examples::rms_norm", mutates_args=())
def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Gives weight x / sqrt(mean(x²) + eps), the mean over the last axis."""
    return weight * x * (x.square().mean(-1, keepdim=True) + eps).rsqrt()


def _setup(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:
    x, weight, ctx.eps = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: torch.autograd.function.FunctionCtx, g: Tensor) -> tuple[Tensor, Tensor, None]:
    x, weight = ctx.saved_tensors
    inverse = x.square().mean(-1, keepdim=True).rsqrt()
    normal, h = x * inverse, g * weight
    dx = inverse * (h - normal * (h * normal).mean(-1, keepdim=True))
    return dx, (g * normal).flatten(0, -2).sum(0), None


rms_norm.register_autograd(_backward, setup_context=_setup)
