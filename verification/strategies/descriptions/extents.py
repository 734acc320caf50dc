"""Extents and relations between them: a little arithmetic of whole numbers, evaluated without
running code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


class DescriptionError(ValueError):
    """A description that cannot be read or satisfied; the message points at the place."""


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Expression:
    """Arithmetic (+ - * // %), comparisons, `and`, `or` and `not` over names and whole numbers.

    The text must be parsed by `expression`, which refuses everything else.
    """

    text: str

    @cached_property
    def _tree(self) -> ast.expr:
        return ast.parse(self.text, mode="eval").body

    @cached_property
    def names(self) -> frozenset[str]:
        """The names in it."""
        return frozenset(node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name))

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Its value; ZeroDivisionError where it divides by zero."""
        return _value(self._tree, values)


def expression(text: str, where: str) -> Expression:
    """The expression of a text; `where` says in an error what is being read.

    Raises:
        DescriptionError: the text is no such expression.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise DescriptionError(
            f"{where}: {text!r} is no expression; write names and whole numbers with + - * // %"
        ) from None
    for node in ast.walk(tree):
        if not _is_known(node):
            shown = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise DescriptionError(
                f"{where}: {shown!r} has no place in {text!r}; write names and whole numbers with"
                " + - * // %, and in a relation comparisons, and, or, not"
            )
    return Expression(text.strip())


def _is_known(node: ast.AST) -> bool:
    match node:
        case ast.Constant():
            return type(node.value) is int
        case ast.BinOp():
            return type(node.op) in _ARITHMETIC
        case ast.Compare():
            return all(type(op) in _COMPARISONS for op in node.ops)
        case ast.UnaryOp():
            return isinstance(node.op, (ast.USub, ast.Not))
    return isinstance(node, (ast.Name, ast.BoolOp, ast.expr_context, ast.operator, ast.cmpop,
                             ast.unaryop, ast.boolop))  # fmt: skip


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return values[name]
        case ast.BinOp(left, op, right):
            return _ARITHMETIC[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op, operand):
            inner = _value(operand, values)
            return not inner if isinstance(op, ast.Not) else -inner
        case ast.BoolOp(op, parts):
            results = (bool(_value(part, values)) for part in parts)
            return all(results) if isinstance(op, ast.And) else any(results)
        case ast.Compare(left, ops, others):
            sides = [_value(side, values) for side in (left, *others)]
            pairs = zip(sides, ops, sides[1:], strict=False)
            return all(_COMPARISONS[type(op)](one, other) for one, op, other in pairs)
    raise AssertionError(f"{ast.dump(node)} was let through")
