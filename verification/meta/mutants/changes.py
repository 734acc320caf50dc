"""What a mutant is: one place of a source, and what stands there instead."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.MatMult: ast.Add,
}
"""No `|`: here it stands between types. Where both are wrong, one mutant is enough."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

GENERIC = {"dict", "frozenset", "list", "set", "tuple"}
"""Python's own types that take others."""

Key = tuple[str, str, str]
"""File, the text of the line, and the change: what stays the same while other lines move."""


@dataclass(frozen=True)
class Mutant:
    """The `site`-th change of a file, and how it is told from all others. reach: the lines of which
    one at least runs before the change can be seen; empty where it is seen without that, as a
    module's constant is.
    """

    file: str
    line: str
    change: str
    number: int
    site: int
    reach: range

    @property
    def key(self) -> Key:
        """A name that survives edits elsewhere in the file."""
        return self.file, self.line, self.change


def mutants(file: str, source: str) -> list[Mutant]:
    """Every mutant of a source, in the order of its lines."""
    lines, seen = source.splitlines(), Counter[tuple[str, str]]()
    found = []
    tree = ast.parse(source)
    reach = _reach(tree)
    for site, (node, _, change) in enumerate(_sites(tree)):
        number = node.lineno
        line = lines[number - 1].strip()
        seen[line, change] += 1
        again = seen[line, change]
        name = change if again == 1 else f"{change} (place {again})"
        found.append(Mutant(file, line, name, number, site, reach[id(node)]))
    return sorted(found, key=lambda mutant: (mutant.number, mutant.site))


def _reach(tree: ast.Module) -> dict[int, range]:
    """For every node by its id, the lines of the statement that computes it: of a statement with a
    body its head, of a function's defaults the whole body, and none outside of functions.
    """
    found: dict[int, range] = {}

    def visit(node: ast.AST, lines: range, inside: bool) -> None:
        if isinstance(node, ast.FunctionDef):
            inside = True
            lines = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
        elif isinstance(node, ast.stmt) and inside:
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno
            lines = range(node.lineno, (end or node.lineno) + 1)
        found[id(node)] = lines
        for child in ast.iter_child_nodes(node):
            visit(child, lines, inside)

    visit(tree, range(0), inside=False)
    return found


def mutated(source: str, site: int) -> ast.Module:
    """The module with that change made."""
    tree = ast.parse(source)
    for i, (node, new, _) in enumerate(_sites(tree)):
        if i == site:
            return ast.fix_missing_locations(_Put(node, new).visit(tree))
    raise IndexError(f"site {site}: the source has no such place")


class _Put(ast.NodeTransformer):
    """Puts a node in another's place."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _sites(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST, str]]:
    """Every node that can be changed, what may stand in its place, and the change in words."""
    left_out = {id(inner) for node in ast.walk(tree) for inner in _no_behaviour(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt) and id(node) not in left_out:
            for new, change in _changes(node):
                yield node, ast.copy_location(new, node), change


def _no_behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """Inside a node, what nothing depends on: types, a message's words, the order of options."""
    parts: list[ast.AST | None] = []
    match node:
        case ast.FunctionDef(returns=returns):
            parts = [returns]
        case ast.arg(annotation=annotation) | ast.AnnAssign(annotation=annotation):
            parts = [annotation]
        case ast.Raise() | ast.JoinedStr():
            parts = [node]
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Tuple() as options]):
            parts = [options]
        case ast.keyword(arg="strict" | "frozen", value=value):
            # Of zip and dataclass: assertions, which no right code ever meets.
            parts = [value]
        case ast.Call(func=ast.Name("isinstance" | "issubclass"), args=[_, ast.Tuple() as options]):
            parts = [options]
        case ast.ExceptHandler(type=ast.Tuple() as options):
            parts = [options]
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            parts = [node]
        case ast.Module(body=body):
            # What is assigned to a name alone and indexed is a type: of dictionaries, or a Literal.
            values = [line.value for line in body if isinstance(line, ast.Assign)]
            parts = [v for v in values if isinstance(v, ast.Subscript) and _is_type(v.value)]
    for part in parts:
        if part is not None:
            yield from ast.walk(part)


def _is_type(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and (node.id[:1].isupper() or node.id in GENERIC)


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """What may stand in a node's place, each with the change in words."""
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield _said(node, _with(node, op=OPERATORS[type(op)]()))
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            yield _said(node, _with(node, ops=[COMPARISONS[type(op)]()]))
        case ast.Compare(ops=[first, second]):
            for ops in ([COMPARISONS[type(first)](), second], [first, COMPARISONS[type(second)]()]):
                yield _said(node, _with(node, ops=ops))
        case ast.BoolOp(op=op):
            yield _said(node, _with(node, op=ast.And() if isinstance(op, ast.Or) else ast.Or()))
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            # A copy, since it gets the place of the node: the tree itself stays as it is.
            yield _said(node, copy.copy(operand))
        case ast.Constant(value=bool() as value):
            yield _said(node, ast.Constant(not value))
        case ast.Constant(value=int() | float() as value):
            yield _said(node, ast.Constant(value + 1))
            yield _said(node, ast.Constant(value - 1))
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            # A comparison or a `not` is turned by its own change.
            if not isinstance(test, ast.Compare | ast.UnaryOp):
                turned = ast.UnaryOp(ast.Not(), test)
                yield _with(node, test=turned), f"the other way: {ast.unparse(test)}"
        case ast.Expr(value=ast.Call() as call):
            yield ast.Pass(), f"left out: {ast.unparse(call)}"
        case ast.Tuple(elts=[first, second], ctx=ast.Load()) if not _same(first, second):
            yield _said(node, _with(node, elts=[second, first]))


def _same(first: ast.AST, second: ast.AST) -> bool:
    return ast.dump(first) == ast.dump(second)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _said(old: ast.AST, new: ast.AST) -> tuple[ast.AST, str]:
    return new, f"{ast.unparse(old)} -> {ast.unparse(new)}"
