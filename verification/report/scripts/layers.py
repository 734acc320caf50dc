"""How a script builds a layer with state, gives it its parameters, and calls it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import scratch_layers
from verification.cases import SAME, Case, LayerCall, Role, TensorSpec
from verification.references.laws.law import OUTPUT
from verification.report.scripts.expressions import (
    ask,
    returned,
    taken,
)
from verification.report.scripts.functions import by_autograd
from verification.subjects.driving.translation import Translation
from verification.subjects.probing.probed import Probed


def layer(case: Case, built: str, translation: Translation) -> Iterator[str]:
    """A layer with state; one without a backward of its own is differentiated by autograd."""
    yield built
    found = Probed.of(case.subject.found)
    way = dict(found.driven) if case.subject.foreign else _of_shipped(case.layer)
    if way.get("still"):
        yield "layer.training = False"
    parameters = tuple(p for p in case.of_role(Role.PARAMETER) if p.name not in found.absent)
    inputs = [taken(spec, translation) for spec in case.of_role(Role.INPUT)]
    if "double_backward" in found.offers:
        yield from _bound(parameters, translation)
        yield from by_autograd(
            case, f"layer({', '.join(inputs)})", "[*layer.parameters()]", translation
        )
        return
    cotangents = case.of_role(Role.COTANGENT)
    if "order" not in way or len(cotangents) != 1:
        yield from ask("how its backward is called and where it leaves the gradients")
        return
    places = {name: (value, gradient) for name, value, gradient in way["places"]}
    if case.subject.foreign:
        yield from _placed(parameters, places, translation)
    else:
        yield from _bound(parameters, translation)
    given = {
        "cotangent": [taken(cotangents[0], translation)],
        "kept": ["*kept"],
        "inputs": inputs,
        "inputs, the last first": inputs[::-1],
    }
    yield f"output = layer.{way['forward']}({', '.join(given[way['given']])})"
    # What comes with it is kept for the backward.
    yield "output, *kept = output if isinstance(output, tuple) else (output,)"
    yield f"results = {{{OUTPUT!r}: {returned(OUTPUT, 'output', translation)}}}"
    arguments = ", ".join(each for part in way["order"] for each in given[part])
    yield f"gradient = layer.{way['backward']}({arguments})"
    yield f"returned = {way['gave']}"
    yield "returned = returned if isinstance(returned, tuple) else (returned,)"
    if "cotangent" not in way["order"]:
        # A loss begins the way back: its gradient is that for cotangent 1.
        (cotangent,) = given["cotangent"]
        yield f"returned = [g if g is None else g * {cotangent} for g in returned]"
    yield from _gradients(way, parameters, places, translation)


def _gradients(
    way: Mapping[str, Any],
    parameters: tuple[TensorSpec, ...],
    places: Mapping[str, tuple[str, str]],
    translation: Translation,
) -> Iterator[str]:
    """Those that the backward returned, then those that the layer holds."""
    shapes = {spec.name: spec.shape for spec in parameters}
    for number, name in enumerate(way["gives"]):
        if not name:
            continue
        value = returned(name, f"returned[{number}]", translation, shapes.get(name))
        yield f"results['{name} gradient'] = {value}"
    for number, spec in enumerate(parameters):
        if spec.name in way["gives"]:
            continue
        held = places.get(spec.name, ("", f"[*layer.parameters()][{number}].grad"))
        value = returned(spec.name, held[1], translation, spec.shape)
        yield f"results['{spec.name} gradient'] = {value}"


def expression(call: LayerCall) -> str:
    """The call that builds a layer; a layer inside that comes again is given a name."""
    again = {child.kwargs["place"] for child in call.children if child.name == SAME}
    inside = []
    for place, child in enumerate(call.children):
        named = f"layer_{place} := " if place in again else ""
        same = child.name == SAME
        inside.append(f"layer_{child.kwargs['place']}" if same else named + expression(child))
    inside += [f"{name}={value!r}" for name, value in call.arguments]
    return f"{call.name}({', '.join(inside)})"


def _of_shipped(call: LayerCall) -> dict[str, Any]:
    """How a layer of the catalogue is called, as a case says it of a foreign one."""
    takes = inspect.signature(getattr(scratch_layers, call.name).backward).parameters
    order = ("cotangent",) if len(takes) > 1 else ()
    return {
        "forward": "forward",
        "given": "inputs",
        "backward": "backward",
        "order": order,
        "gave": "gradient",
        "gives": ("input",),
        "places": (),
    }


def _bound(parameters: tuple[TensorSpec, ...], translation: Translation) -> Iterator[str]:
    """Give the parameters to a layer that lists them as torch does."""
    if not parameters:
        return
    values = ", ".join(taken(spec, translation) for spec in parameters)
    yield f"for parameter, value in zip(layer.parameters(), [{values}]):"
    yield "    parameter.data = value"


def _placed(
    parameters: tuple[TensorSpec, ...],
    places: Mapping[str, tuple[str, str]],
    translation: Translation,
) -> Iterator[str]:
    """Write the parameters where the layer was found to hold them."""
    if any(spec.name not in places for spec in parameters):
        yield from ask("where the layer holds its parameters")
    for spec in parameters:
        held, value = places.get(spec.name, ("_", ""))[0], taken(spec, translation)
        if held.endswith(".data"):
            yield f"{held} = {value}"
        else:
            yield "with torch.no_grad():"
            yield f"    {held}[...] = {value}.reshape({held}.shape)"
