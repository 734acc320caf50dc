"""What cannot be judged is refused, and the reason says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradcheck import check_gradients, check_second_order, jacobian, stencil
from verification.meta.gradients.promise import Promise, numbers, refuses

X = numbers(3)
HALF_TABLE = numbers(5, 3, dtype=torch.float16)


def asking(*arguments: Any, **options: Any) -> Callable[[], object]:
    return lambda: check_gradients(*arguments, **options)


class NoBackward:
    forward = staticmethod(torch.sin)


def beside_only_at(x: Tensor) -> Tensor:
    if not torch.equal(x, X):
        raise ArithmeticError("elsewhere")
    return x.sin()


def as_long_as_it_is_small(x: Tensor) -> Tensor:
    return x.sin()[: 3 if torch.equal(x, X) else 2]


PROMISES: tuple[Promise, ...] = (
    refuses("no number", asking(torch.sin, X / 0), ValueError, "input holds values that are not"),
    refuses(
        "no complex number",
        asking(torch.sin, numbers(2, dtype=torch.complex128) / 0),
        ValueError,
        "input holds values that are not",
    ),
    refuses("a name", asking(torch.sin, X, wrt=["w"]), ValueError, r"wrt names \['w'\]: the ten"),
    refuses(
        "an analysis without its cotangent",
        asking(torch.sin, X, analytic_error={"input": X}),
        ValueError,
        "analytic_error is given without cotangents",
    ),
    refuses("inputs twice", asking(torch.sin, X, inputs={"input": X}), ValueError, "1 inputs are"),
    refuses(
        "cotangents of another shape",
        asking(torch.sin, X, cotangents={"output": X[:2]}),
        ValueError,
        r"cotangents have shapes \{'output': \(2,\)\}, the floating outputs \{'output': \(3,\)\}",
    ),
    refuses("no floating output", asking(lambda x: x > 0, X), TypeError, "one floating output is"),
    refuses("no tensor", asking(torch.sin, 1.0), TypeError, r"are a tuple of \['float'\]: pass"),
    refuses(
        "no tensor by name", asking(torch.sin, inputs={"input": 1.0}), TypeError, "input is a float"
    ),
    refuses("no subject", asking(3, X), TypeError, "f is a int: pass a function"),
    refuses("a class", asking(NoBackward, X), TypeError, "f is a type: pass"),
    refuses("no backward", asking(NoBackward(), X), TypeError, "f is a NoBackward: pass"),
    refuses(
        "gradients fewer than inputs",
        asking((lambda x, w: x * w, lambda x, w, g: g * w), X, X),
        ValueError,
        "vjp returned 1 gradients for the inputs",
    ),
    refuses("no output", asking(lambda x: (), X), TypeError, "forward returned a tuple of"),
    refuses(
        "parameters of a function",
        asking(torch.sin, X, parameters={"w": X}),
        ValueError,
        r"parameters are \['w'\]: a function has none",
    ),
    refuses(
        "a point with none beside it",
        asking(beside_only_at, X),
        RuntimeError,
        "at a point beside the given one, with .* moved, raised ArithmeticError: elsewhere",
    ),
    refuses(
        "another shape beside it",
        asking(as_long_as_it_is_small, X),
        RuntimeError,
        "gave 2 numbers instead of 3 with .* moved",
    ),
    refuses(
        "samples that are none",
        asking(
            (lambda x: x.sin().sum(0), lambda x, g: g * x.cos()),
            numbers(9, 3),
            batch_axis=0,
            method="full",
        ),
        ValueError,
        "samples stacked along axis 0 do not give",
    ),
    refuses(
        "16 bits only",
        asking(lambda x: x @ HALF_TABLE, numbers(2, 5, dtype=torch.float16)),
        TypeError,
        r"does not run in float64, by which torch\.float16",
    ),
    refuses(
        "a backward by hand twice",
        lambda: check_second_order((torch.sin, lambda x, g: g * x.cos()), X),
        TypeError,
        "whose backward is not autograd's",
    ),
    refuses(
        "a derivative of integers", lambda: jacobian(torch.abs, X.long()), TypeError, "x has d"
    ),
    refuses(
        "a derivative by nothing",
        lambda: jacobian(torch.abs, X[:0]),
        ValueError,
        r"x has 0 numbers and f\(x\) 0 floating ones",
    ),
    refuses(
        "a derivative of no floating number",
        lambda: jacobian(torch.Tensor.int, X),
        ValueError,
        r"x has 3 numbers and f\(x\) 0 floating ones",
    ),
    refuses(
        "directions of another shape",
        lambda: jacobian(torch.sin, X, directions=numbers(2, 4)),
        ValueError,
        r"directions have shape \(2, 4\) for x of shape \(3,\)",
    ),
    refuses(
        "a direction of length 0",
        lambda: jacobian(torch.sin, X, directions=0 * numbers(2, 3)),
        ValueError,
        "no direction 0",
    ),
    refuses("an offset twice", lambda: stencil((0, 1, 1), 1), ValueError, "each may occur once"),
    refuses("two points for f''", lambda: stencil((0, 1), 2), ValueError, "derivative is 2 on 2"),
)
