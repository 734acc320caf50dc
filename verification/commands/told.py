"""The options of `check` that tell how a layer is built and driven; their text as plain data."""

import argparse
import ast
from collections.abc import Callable
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them; none is needed where the layer's own names are usual ones."""
    for option, meaning in (
        ("kwargs", "arguments that the layer is always built with: \"stride=2, mode='same'\""),
        ("hold", 'arguments of the kind that are held at one value: "padding=0"'),
    ):
        parser.add_argument(f"--{option}", type=keywords, default={}, metavar="TEXT", help=meaning)
    parser.add_argument(
        "--against",
        metavar="MODULE:NAME",
        help="another layer of the kind, whose results count as true: the one to be replaced",
    )
    for option, read, metavar, meaning in _REPEATED:
        parser.add_argument(
            f"--{option}",
            type=read,
            action="append",
            default=[],
            metavar=metavar,
            help=f"{meaning}; may be repeated",
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


_REPEATED: tuple[tuple[str, Callable[[str], Any], str, str], ...] = (
    ("one-number", str, "ARGUMENT", "an argument that the layer takes as one number for all axes"),
    ("axes", int, "N", "how many axes the layer's input may have, where not any"),
    (
        "rename",
        name_and_text,
        "ARGUMENT=NAME",
        "the layer's name for an argument of the kind: in_channels=n_in",
    ),
    (
        "layout",
        name_and_axes,
        "TENSOR=AXES",
        "the order in which the layer holds a tensor's axes: weight=2,3,1,0",
    ),
    (
        "held",
        name_and_attributes,
        "PARAMETER=VALUE:GRADIENT",
        "the attributes that hold a parameter and its gradient: weight=W:dW",
    ),
)
