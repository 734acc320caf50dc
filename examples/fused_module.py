"""A cross entropy that fuses log-softmax and the choice of the label, as an nn.Module.

The seeded fault: the mean divides by the number of all labels, and not of those that are not
ignored. Where no label is ignored the two are the same.
"""

from typing import Any

import torch
from torch import Tensor, nn


class _Fused(torch.autograd.Function):
    """The gradient of the logits is the softmax less one at the label: computed in the forward."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
        kept = labels != ignore_index
        logarithms = logits - logits.logsumexp(1, keepdim=True)
        chosen = logarithms.gather(1, labels.where(kept, 0)[:, None])[:, 0]
        gradient = logarithms.exp()
        gradient.scatter_add_(1, labels.where(kept, 0)[:, None], -torch.ones_like(chosen)[:, None])
        count = torch.tensor(labels.numel())
        # Where every label is ignored the mean is 0 / 0, and its gradient is 0.
        ctx.save_for_backward(gradient * kept[:, None] / count.clamp(min=1))
        return -(chosen * kept).sum() / count

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad_output * gradient, None, None


class FusedCrossEntropy(nn.Module):
    """The mean of -log softmax(logits)[label]: logits (N, C), labels (N)."""

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """A scalar."""
        return _Fused.apply(logits, labels, self.ignore_index)
