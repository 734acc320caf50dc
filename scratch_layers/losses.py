"""MSELoss: the end of a chain. It takes two tensors, and its backward starts the others'."""

from typing import Literal

from torch import Tensor

from scratch_layers.checks import floating_tensor, same_kind, same_shape, working_dtype
from scratch_layers.module import Record, latest


class MSELoss:
    """The squared error between two tensors of one shape, over all n elements.

    mean: L = sum (x - t)^2 / n, dL/dx = 2 (x - t) / n.   sum: without the division by n.

    Shapes that differ are refused, not broadcast; so is the mean of nothing. 16-bit inputs are
    computed in float32 and rounded once, so that the sum does not overflow before the division.
    `forward` raises TypeError for what is no tensor and ValueError for tensors that do not fit;
    `backward` raises RuntimeError before any forward, or when a tensor was changed in place since.
    """

    def __init__(self, reduction: Literal["mean", "sum"] = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction is {reduction!r}; it must be 'mean' or 'sum'")
        self.reduction = reduction
        self._record: Record | None = None

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss as a tensor without axes, in the input's dtype."""
        x, t = floating_tensor("input", input).detach(), floating_tensor("target", target).detach()
        same_shape("target", t, x.shape, "the shape of input: nothing is broadcast")
        same_kind("target", t, "input", x, "convert one of them")
        if self.reduction == "mean" and not x.numel():
            raise ValueError(
                f"input has shape {tuple(x.shape)}, which has no element to take the mean of; "
                "it must not be empty: use reduction='sum'"
            )
        squares = _difference(x, t).square_()
        loss = (squares.mean() if self.reduction == "mean" else squares.sum()).to(x.dtype)
        self._record = Record(loss, input=x, target=t)
        return loss

    def backward(self) -> Tensor:
        """The loss's gradient with respect to the input of the latest forward, of its shape.

        The difference is divided by n / 2 and not doubled first, which could overflow.
        """
        record = latest(self._record, "MSELoss")
        x, t = record.tensors["input"], record.tensors["target"]
        half = x.numel() / 2 if self.reduction == "mean" else 0.5
        return (_difference(x, t) / half).to(x.dtype)

    def __call__(self, input: Tensor, target: Tensor) -> Tensor:
        """The same as `forward`."""
        return self.forward(input, target)

    def __repr__(self) -> str:
        return f"MSELoss(reduction={self.reduction!r})"


def _difference(x: Tensor, t: Tensor) -> Tensor:
    wide = working_dtype(x.dtype)
    return x.to(wide) - t.to(wide)
