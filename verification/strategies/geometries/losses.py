"""Geometry of the losses: an input and a target of one shape, or classes with labels."""

from __future__ import annotations

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometries.activations import Options, draw_arguments
from verification.strategies.geometry import (
    Geometry,
    Limits,
    Shape,
    choices,
    draw_shape,
    numbers,
)

REDUCTIONS = ("mean", "sum", "none")

WEIGHTS = (1.0, 0.5, 2.0, 3.0, 0.25)
"""Weights of classes, which every dtype holds."""

IGNORED_BY_DEFAULT = -100
"""The label that torch ignores unless told otherwise."""


@st.composite
def pointwise(
    draw: DrawFn,
    limits: Limits,
    name: str,
    options: Options,
    reductions: tuple[str, ...] = REDUCTIONS,
    domains: tuple[tuple[str, str], ...] = (),
) -> Geometry:
    """A loss of two tensors of one shape."""
    shape = draw_shape(draw, limits)
    arguments = draw_arguments(draw, limits, {**options, "reduction": reductions})
    return Geometry(
        LayerCall.of(name, **arguments), (("input", shape), ("target", shape)), domains=domains
    )


@st.composite
def weighted_outcomes(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """A loss of logits against outcomes, those on the last axis with a weight each or without."""
    shape = draw_shape(draw, limits)
    few = shape[-1] <= 5
    weights = draw(st.one_of(st.none(), _weights(shape[-1])) if few else st.none())
    arguments = draw_arguments(draw, limits, {"reduction": REDUCTIONS})
    arguments["pos_weight"] = draw(limits.choose("pos_weight", st.just(weights)))
    return Geometry(
        LayerCall.of(name, **arguments),
        (("input", shape), ("target", shape)),
        domains=(("target", "unit"),),
    )


@st.composite
def labelled(
    draw: DrawFn, limits: Limits, name: str, options: Options, all_ignored: bool = False
) -> Geometry:
    """A loss of classes on the second axis against labels, some of them ignored or all, with or
    without a weight for each class; where `probabilities` is an option, also against those of the
    classes on the last axis of two.
    """
    batch, classes = draw(choices(limits.batches)), draw(numbers(1, 5))
    room = limits.elements // max(1, batch * classes)
    axes = [draw(numbers(1, max(1, min(4, room)))) for _ in range(draw(choices((0, 1, 2))))]
    weights = draw(st.one_of(st.none(), _weights(classes)))
    arguments = draw_arguments(draw, limits, {**options, "reduction": REDUCTIONS})
    if arguments.get("probabilities"):
        axes = []
    arguments["weight"] = draw(limits.choose("weight", st.just(weights)))
    # One class alone is not the one to ignore: nothing would be left.
    labelled = classes > 1 and not arguments.get("probabilities")
    places = (IGNORED_BY_DEFAULT, *((0, classes - 1) if labelled else ()))
    ignored = draw(limits.choose("ignore_index", choices(places)))
    labels = f"one of ({ignored})" if all_ignored else f"some labels({classes}, ignored={ignored})"
    target: Shape = (batch, *axes)
    if arguments.get("probabilities"):
        target, labels = (batch, classes), "simplex"
    return Geometry(
        LayerCall.of(name, ignore_index=ignored, **arguments),
        (("input", (batch, classes, *axes)), ("target", target)),
        domains=(("target", labels),),
    )


def _weights(count: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[choices(WEIGHTS)] * count)
