"""The options of `check` that describe a function's inputs and what is on purpose about it."""

import argparse
import ast
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them; docs/any-function.md explains each."""
    parser.add_argument(
        "--input",
        type=name_and_line,
        action="append",
        metavar="'NAME: AXES DOMAIN'",
        help="judge a function by its inputs: 'x: n c h w', 'labels: n labels(c)'",
    )
    parser.add_argument(
        "--where", default="", metavar="RELATION", help="between extents: 'k <= h and k <= w'"
    )
    parser.add_argument(
        "--setting",
        type=name_and_values,
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="the values of an argument that is no tensor: \"mode='zeros','reflect'\"",
    )
    parser.add_argument("--batch", metavar="EXTENT", help="the extent that counts samples")
    parser.add_argument(
        "--same",
        action="append",
        default=[],
        metavar="EXTENT",
        help="an extent that may not change from one call to the next",
    )
    parser.add_argument(
        "--constant",
        action="append",
        default=[],
        metavar="NAME",
        help="an input that has no gradient by contract",
    )
    for option, meaning in (
        ("derivative-of", "the function whose derivative the backward is"),
        ("vjp", "the rule (*inputs, *cotangents) -> gradients of a backward that is not linear"),
        ("stochastic", "the mean of the function over draws"),
        ("reference", "other code for the same map"),
    ):
        parser.add_argument(f"--{option}", metavar="MODULE:NAME", help=meaning)
    parser.add_argument(
        "--scaled-by", type=float, metavar="S", help="the factor between backward and derivative"
    )
    parser.add_argument(
        "--approximate",
        type=float,
        metavar="SHARE",
        help="how far the backward may be off, as a share of its largest entry",
    )


def said(options: argparse.Namespace) -> dict[str, Any]:
    """What was said, as arguments of `verification.check`."""
    return {
        "inputs": dict(options.input) if options.input else None,
        "where": options.where,
        "settings": dict(options.setting),
        "batch": options.batch,
        "same": options.same,
        "constant": options.constant,
        "derivative_of": options.derivative_of,
        "vjp": options.vjp,
        "scaled_by": options.scaled_by,
        "approximate": options.approximate,
        "stochastic": options.stochastic,
        "reference": options.reference,
    }


def name_and_line(text: str) -> tuple[str, str]:
    """`x: n c h w` as a name and its line."""
    name, colon, line = text.partition(":")
    if not colon or not name.strip().isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r}: write 'NAME: AXES DOMAIN', as in 'x: n c'")
    return name.strip(), line.strip()


def name_and_values(text: str) -> tuple[str, tuple[Any, ...]]:
    """`mode='zeros','reflect'` as a name and values; only literals are read, no code runs."""
    name, equals, values = text.partition("=")
    try:
        found = ast.literal_eval(f"({values},)")
    except (SyntaxError, ValueError):
        found = ()
    if not equals or not found:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=1,2 or NAME='a','b'")
    return name.strip(), found
