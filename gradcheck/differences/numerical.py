"""jacobian: the derivatives of a function by finite differences, each with a bound and a class."""

from collections.abc import Callable

import torch
from torch import Tensor

from gradcheck.differences.classes import ROOM, Basis, Estimate
from gradcheck.differences.errors import (
    EvaluationError,
    derived_error,
    error_at_base,
    estimated_error,
)
from gradcheck.differences.evaluation import CHUNK_ELEMENTS, Evaluator
from gradcheck.differences.jacobians import jacobian_along
from gradcheck.differences.lines import Lines, along, along_entries
from gradcheck.subjects import FunctionSubject


def jacobian(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    directions: Tensor | None = None,
    evaluation_error: EvaluationError | None = None,
    seed: int = 0,
) -> Estimate:
    """Estimate the derivative of ``f`` at ``x``, numerically.

    Args:
        f: maps a tensor to a tensor; it is only evaluated, never differentiated.
        x: float64 or float32.
        directions: [L, *x.shape], for derivatives along these directions instead of along the
            coordinates.
        evaluation_error: ``(inputs, parameters) -> {"output": bound on |fl(f) - f|}``; the input is
            called "input". Without it the noise of ``f`` is estimated.
        seed: of the points at which the noise is looked at.

    Returns:
        ``value``, ``bound`` and ``kind`` of shape [*output.shape, *x.shape], or
        [*output.shape, L], in float64. Where ``kind`` is unresolved the bound is infinite. A second
        derivative is the jacobian of a first one.

    Raises:
        TypeError: ``x`` is neither float64 nor float32, or ``f`` returns no tensor.
        ValueError: there is no number in ``x``, or no floating one in ``f(x)``; ``directions``
            do not fit ``x``, or one of them is 0.
    """
    if x.dtype not in (torch.float64, torch.float32):
        raise TypeError(f"x has dtype {x.dtype}: it must be float64 or float32; convert it")
    generator = torch.Generator().manual_seed(seed)
    evaluator = Evaluator(FunctionSubject(f), {"input": x}, {}, told_stacked=False)
    if not x.numel() or not evaluator.base.numel():
        raise ValueError(
            f"x has {x.numel()} numbers and f(x) {evaluator.base.numel()} floating ones: give at"
            " least one of each"
        )
    if evaluation_error is None:
        error = estimated_error(evaluator, generator)
    else:
        error = derived_error(evaluation_error, evaluator, "input")
    evaluator.probe_sharing("input", error_at_base(evaluator, error))
    lines, lengths = _lines(x, directions)
    rows = max(1, CHUNK_ELEMENTS // max(1, x.numel() + ROOM * evaluator.base.numel()))
    basis: Basis = "estimated" if evaluation_error is None else "derived"
    parts = [
        jacobian_along(evaluator, "input", part.directions, error, basis, thorough=True)
        for part in lines.parts(rows)
    ]
    shape = (*f(x).shape, *(x.shape if directions is None else lengths.shape))

    def joined(field: str) -> Tensor:
        columns = torch.cat([getattr(part, field) for part in parts])
        return (columns if field == "kind" else columns * lengths[:, None]).T.reshape(shape)

    return Estimate(joined("value"), joined("bound"), joined("kind"), joined("noise"), basis)


def _lines(x: Tensor, directions: Tensor | None) -> tuple[Lines, Tensor]:
    """Lines whose largest entry is 1, and how much longer each direction was, [L]."""
    if directions is None:
        return along_entries(x), torch.ones(x.numel(), dtype=torch.float64)
    lengths = directions.reshape(len(directions), -1).abs().to(torch.float64).amax(1)
    if directions.shape[1:] != x.shape or not bool((lengths > 0).all()):
        raise ValueError(
            f"directions have shape {tuple(directions.shape)} for x of shape {tuple(x.shape)}: give"
            " [L, *x.shape], no direction 0"
        )
    scaled = directions / lengths.reshape(-1, *[1] * x.dim())
    return along(scaled.to(x)), lengths
