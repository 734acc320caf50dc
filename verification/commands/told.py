"""The options of `check` that tell how a layer is built and driven; their text as plain data."""

import argparse
import ast
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them; none is needed where the layer's own names are usual ones."""
    parser.add_argument(
        "--kwargs",
        type=keywords,
        default={},
        metavar="TEXT",
        help="arguments that the layer is always built with: \"stride=2, padding_mode='zeros'\"",
    )
    parser.add_argument(
        "--hold",
        type=keywords,
        default={},
        metavar="TEXT",
        help='arguments of the kind that are held at one value: "padding=0"',
    )
    parser.add_argument(
        "--one-number",
        action="append",
        default=[],
        metavar="ARGUMENT",
        help="an argument that the layer takes as one number for all axes",
    )
    parser.add_argument(
        "--axes",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="how many axes the layer's input may have, where not any; may be repeated",
    )
    parser.add_argument(
        "--against",
        metavar="MODULE:NAME",
        help="another layer of the kind, whose results count as true: the one to be replaced",
    )
    parser.add_argument(
        "--rename",
        type=name_and_text,
        action="append",
        default=[],
        metavar="ARGUMENT=NAME",
        help="the layer's name for an argument of the kind: in_channels=n_in",
    )
    parser.add_argument(
        "--layout",
        type=name_and_axes,
        action="append",
        default=[],
        metavar="TENSOR=AXES",
        help="the order in which the layer holds a tensor's axes: weight=2,3,1,0",
    )
    parser.add_argument(
        "--held",
        type=name_and_attributes,
        action="append",
        default=[],
        metavar="PARAMETER=VALUE:GRADIENT",
        help="the attributes that hold a parameter and its gradient: weight=W:dW",
    )
    parser.add_argument("--backward", metavar="NAME", help="the method that differentiates")


def keywords(text: str) -> dict[str, Any]:
    """`stride=2, mode='zeros'` as a dict; only literals are read, no code runs."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise argparse.ArgumentTypeError(f"{text!r}: write name=value, name=value") from None


def name_and_text(text: str) -> tuple[str, str]:
    """`in_channels=n_in` as a pair."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE")
    return name, value


def name_and_axes(text: str) -> tuple[str, tuple[int, ...]]:
    """`weight=2,3,1,0` as a name and numbers."""
    name, value = name_and_text(text)
    try:
        return name, tuple(int(axis) for axis in value.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write {name}=2,3,1,0") from None


def name_and_attributes(text: str) -> tuple[str, tuple[str, str]]:
    """`weight=W:dW` as a name and two attributes."""
    name, value = name_and_text(text)
    own, colon, gradient = value.partition(":")
    if not (own and colon and gradient):
        raise argparse.ArgumentTypeError(f"{text!r}: write {name}=VALUE:GRADIENT, two attributes")
    return name, (own, gradient)
