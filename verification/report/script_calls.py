"""How a script builds and calls the subject of a case: lines of Python, one function for each form
that a subject has. They leave `results`, by the names that a discrepancy calls them.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

import scratch_layers
from verification.cases import SAME, Case, LayerCall, Role, TensorSpec
from verification.cases.case_file import CaseFileError
from verification.references.laws.law import OUTPUT
from verification.references.row import Row
from verification.subjects.driving.arguments import IDLE, Matching
from verification.subjects.driving.drivers import stored_call
from verification.subjects.driving.function_calls import Call
from verification.subjects.driving.told import Adapter
from verification.subjects.driving.translation import Translation
from verification.subjects.entry import MODULE
from verification.subjects.probing.probed import Probed

MADE_UP = dict.fromkeys(("rng", "random_state"), "numpy.random.RandomState(0)")
"""What is given for arguments of no account that no literal stands for."""


def variable(spec: TensorSpec) -> str:
    """The name of a tensor in the script."""
    inside = "layer_" if spec.name[:1].isdigit() else ""  # "0.weight" of a container
    cotangent = "_cotangent" if spec.role is Role.COTANGENT else ""
    return f"{inside}{spec.name.replace('.', '_')}{cotangent}"


def literal(value: Any) -> str:
    """A value as an expression; a tensor in its memory layout."""
    if not isinstance(value, Tensor):
        return repr(value)
    shape, stride = tuple(value.shape), value.stride()
    if value.is_contiguous():
        return f"torch.tensor({value.flatten().tolist()}, dtype={value.dtype}).reshape({shape})"
    span = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    memory = value.as_strided((span,), (1,)).tolist()
    return f"torch.tensor({memory}, dtype={value.dtype}).as_strided({shape}, {stride})"


def calls(case: Case, row: Row) -> Iterator[str]:
    """The lines for a case of whatever form.

    Raises:
        CaseFileError: one call cannot show the case, or the file does not say how it is made.
    """
    if "lr" in case.layer.kwargs:
        return _optimizer(case)
    if case.subject.like is None and not case.subject.inputs:
        return _layer(case, f"layer = {_expression(case.layer)}", Translation())
    if case.subject.inputs:
        return _described(case)
    call, translation = _stored(case)
    if translation.columns or dict(case.subject.found).get("alone"):
        return _ask("how the samples of a batch are given to the layer: in turn, or as columns")
    if not isinstance(call, Call):
        own = _keywords(_constructed(case, call, row, translation))
        return _layer(case, f"layer = Layer({own})", translation)
    tensors = {spec.name: _taken(spec, translation) for spec in _of(case, Role.INPUT)}
    tensors |= {spec.name: _taken(spec, translation) for spec in _of(case, Role.PARAMETER)}
    given = {n: literal(v) for n, v in call.arguments({}, _built_from(case, row)).items()}
    given |= {own: tensors.get(name, "None") for own, name in call.tensors.items()}
    if "," in case.subject.name:
        return _pair(case, given, translation)
    return _differentiated(case, call, given, translation)


def _constructed(case: Case, call: Matching, row: Row, translation: Translation) -> dict[str, str]:
    """The arguments of a layer's constructor, as expressions."""
    given = {n: literal(v) for n, v in call.call(_built_from(case, row)).items()}
    given |= {name: MADE_UP.get(name, repr(IDLE[name]())) for name in call.idle}
    held = {spec.name: _taken(spec, translation) for spec in case.of_role(Role.PARAMETER)}
    return given | {own: held[name] for own, name in call.held.items()}


def _stored(case: Case) -> tuple[Matching | Call, Translation]:
    if not case.subject.found:
        raise CaseFileError(
            "it does not say how its layer is built, since an earlier version wrote it: run the"
            " check again"
        )
    return stored_call(Probed.of(case.subject.found).driven, Adapter.of(case.subject.adapter))


def _built_from(case: Case, row: Row) -> dict[str, Any]:
    kind = row.constructed(case.layer.kwargs, getattr(torch, case.dtype), torch.device("cpu"))
    return row.with_rests(kind) if dict(case.subject.found).get("rest") else kind


def _of(case: Case, *roles: Role) -> list[TensorSpec]:
    return [spec for role in roles for spec in case.of_role(role)]


def _keywords(expressions: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in expressions.items())


def _taken(spec: TensorSpec, translation: Translation) -> str:
    """A tensor as the subject takes it."""
    axes = translation.axes.get(spec.name)
    if spec.role is Role.COTANGENT:
        axes = translation.axes.get("output")
    turned = "" if axes is None else f".permute({axes})"
    return f"{variable(spec)}{turned}{'.numpy()' if translation.numpy else ''}"


def _returned(
    name: str, expression: str, translation: Translation, shape: tuple[int, ...] | None = None
) -> str:
    """What the subject returned, as a tensor with its axes in the kind's order, and of its shape
    where that is given.
    """
    axes = translation.axes.get(name)
    if translation.numpy:
        expression = f"torch.as_tensor({expression})"
    if shape is not None:
        expression = f"{expression}.reshape({tuple(shape[i] for i in axes) if axes else shape})"
    return expression if axes is None else f"{expression}.permute({_inverse(axes)})"


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(axis) for axis in range(len(axes)))


def _expression(call: LayerCall) -> str:
    """The call that builds a layer; a layer inside that comes again is given a name."""
    again = {child.kwargs["place"] for child in call.children if child.name == SAME}
    inside = []
    for place, child in enumerate(call.children):
        named = f"layer_{place} := " if place in again else ""
        same = child.name == SAME
        inside.append(f"layer_{child.kwargs['place']}" if same else named + _expression(child))
    inside += [f"{name}={value!r}" for name, value in call.arguments]
    return f"{call.name}({', '.join(inside)})"


def _ask(what: str, indent: str = "") -> Iterator[str]:
    """End the script where its reader has to say what no file does."""
    yield f'{indent}print("say in this script {what}")'
    yield f"{indent}sys.exit(2)"


def _layer(case: Case, built: str, translation: Translation) -> Iterator[str]:
    """A layer with state; one without a backward of its own is differentiated by autograd."""
    yield built
    found = Probed.of(case.subject.found)
    way = dict(found.driven) if case.subject.foreign else _of_shipped(case.layer)
    if way.get("still"):
        yield "layer.training = False"
    parameters = tuple(p for p in case.of_role(Role.PARAMETER) if p.name not in found.absent)
    inputs = [_taken(spec, translation) for spec in case.of_role(Role.INPUT)]
    if "double_backward" in found.offers:
        yield from _bound(parameters, translation)
        yield from _by_autograd(
            case, f"layer({', '.join(inputs)})", "[*layer.parameters()]", translation
        )
        return
    cotangents = case.of_role(Role.COTANGENT)
    if "order" not in way or len(cotangents) != 1:
        yield from _ask("how its backward is called and where it leaves the gradients")
        return
    places = {name: (value, gradient) for name, value, gradient in way["places"]}
    if case.subject.foreign:
        yield from _placed(parameters, places, translation)
    else:
        yield from _bound(parameters, translation)
    given = {
        "cotangent": [_taken(cotangents[0], translation)],
        "kept": ["*kept"],
        "inputs": inputs,
        "inputs, the last first": inputs[::-1],
    }
    yield f"output = layer.{way['forward']}({', '.join(given[way['given']])})"
    # What comes with it is kept for the backward.
    yield "output, *kept = output if isinstance(output, tuple) else (output,)"
    yield f"results = {{{OUTPUT!r}: {_returned(OUTPUT, 'output', translation)}}}"
    arguments = ", ".join(each for part in way["order"] for each in given[part])
    yield f"gradient = layer.{way['backward']}({arguments})"
    yield f"returned = {way['gave']}"
    yield "returned = returned if isinstance(returned, tuple) else (returned,)"
    if "cotangent" not in way["order"]:
        # A loss begins the way back: its gradient is that for cotangent 1.
        (cotangent,) = given["cotangent"]
        yield f"returned = [g if g is None else g * {cotangent} for g in returned]"
    shapes = {spec.name: spec.shape for spec in parameters}
    for number, name in enumerate(way["gives"]):
        if not name:
            continue
        value = _returned(name, f"returned[{number}]", translation, shapes.get(name))
        yield f"results['{name} gradient'] = {value}"
    for number, spec in enumerate(parameters):
        if spec.name in way["gives"]:
            continue
        held = places.get(spec.name, ("", f"[*layer.parameters()][{number}].grad"))
        value = _returned(spec.name, held[1], translation, spec.shape)
        yield f"results['{spec.name} gradient'] = {value}"


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
    values = ", ".join(_taken(spec, translation) for spec in parameters)
    yield f"for parameter, value in zip(layer.parameters(), [{values}]):"
    yield "    parameter.data = value"


def _placed(
    parameters: tuple[TensorSpec, ...],
    places: Mapping[str, tuple[str, str]],
    translation: Translation,
) -> Iterator[str]:
    """Write the parameters where the layer was found to hold them."""
    if any(spec.name not in places for spec in parameters):
        yield from _ask("where the layer holds its parameters")
    for spec in parameters:
        held, value = places.get(spec.name, ("_", ""))[0], _taken(spec, translation)
        if held.endswith(".data"):
            yield f"{held} = {value}"
        else:
            yield "with torch.no_grad():"
            yield f"    {held}[...] = {value}.reshape({held}.shape)"


def _by_autograd(
    case: Case, called: str, parameters: str, translation: Translation
) -> Iterator[str]:
    """An output and autograd's gradients; parameters: an expression for those that a module holds,
    empty where they are given as tensors.
    """
    given = [spec for spec in case.of_role(Role.INPUT) if spec.dtype is None]
    held = case.of_role(Role.PARAMETER)
    leaves = [variable(spec) for spec in (given if parameters else [*given, *held])]
    asked = f"[{', '.join(leaves)}]" + (f" + {parameters}" if parameters else "")
    yield f"for leaf in [{', '.join(leaves)}]:"
    yield "    leaf.requires_grad_()"
    yield f"output = {_returned(OUTPUT, called, translation)}"
    yield f"results = {{{OUTPUT!r}: output}}"
    cotangents = case.of_role(Role.COTANGENT)
    if not cotangents:
        return
    names = [f"{spec.name} gradient" for spec in (*given, *held)]
    yield "gradients = torch.autograd.grad("
    yield f"    output, {asked}, {variable(cotangents[0])}, materialize_grads=True"
    yield ")"
    yield f"results.update(zip({names}, gradients))"
    for spec in held if parameters else ():
        if spec.name in translation.axes:
            key = f"results['{spec.name} gradient']"
            yield f"{key} = {_returned(spec.name, key, translation)}"


def _differentiated(
    case: Case, call: Call, given: Mapping[str, str], translation: Translation
) -> Iterator[str]:
    """A function of tensors that autograd differentiates; one that goes by position has `apply`."""
    if call.positional is None:
        yield from _by_autograd(case, f"Layer({_keywords(given)})", "", translation)
        return
    ordered = ", ".join(given[own] for own in call.positional if own in given)
    yield from _by_autograd(case, f"Layer.apply({ordered})", "", translation)


def _pair(case: Case, given: Mapping[str, str], translation: Translation) -> Iterator[str]:
    """A forward, and a backward of the cotangent and what forward kept, or what it was given."""
    yield f"given = dict({_keywords(given)})"
    yield "returned = forward(**given)"
    yield "output, *kept = returned if isinstance(returned, tuple) else (returned,)"
    yield f"results = {{{OUTPUT!r}: {_returned(OUTPUT, 'output', translation)}}}"
    cotangents = case.of_role(Role.COTANGENT)
    if not cotangents:
        return
    yield f"left = [{_taken(cotangents[0], translation)}, *kept]"
    yield "wanted = inspect.signature(backward).parameters"
    yield "named = [name for name in wanted if name in given or left]"
    yield "arguments = [given[name] if name in given else left.pop(0) for name in named]"
    yield "gradients = backward(*arguments)"
    yield "gradients = gradients if isinstance(gradients, (tuple, list)) else [gradients]"
    names = [f"{spec.name} gradient" for spec in _of(case, Role.INPUT, Role.PARAMETER)]
    yield f"results.update(zip({names}, gradients))"
    for key in names:
        value = _returned(key.removesuffix(" gradient"), f"results[{key!r}]", translation)
        if translation != Translation():
            yield f"results[{key!r}] = {value}"


def _optimizer(case: Case) -> Iterator[str]:
    """An optimiser's steps: each with its rate, and a gradient for every parameter."""
    arguments = case.layer.kwargs
    rates = arguments.pop("lr")
    specs = {spec.name: variable(spec) for spec in case.of_role(Role.INPUT)}
    weights = [name for name in specs if name.startswith("w")]
    name, rate, own = case.layer.name, "lr", arguments
    if case.subject.like is not None:
        call, translation = _stored(case)
        if isinstance(call, Call) or translation.numpy:
            yield from _ask("how the steps of a function, or on arrays, follow each other")
            return
        rate = next((mine for mine, (kind, _) in call.sources.items() if kind == "lr"), "lr")
        name, own = "Layer", call.call(arguments)
    kind = "Parameter" if case.subject.like is None else "torch.nn.Parameter"
    yield f"parameters = [{', '.join(f'{kind}({specs[w]})' for w in weights)}]"
    built = _keywords({rate: repr(rates[0]), **{n: literal(v) for n, v in own.items()}})
    if case.subject.like is not None:
        own_names = tuple(call.sources)
        yield f"if next(iter(inspect.signature(Layer).parameters)) in {own_names}:"
        yield from _ask("how the optimiser is given its parameters", "    ")
    yield f"optimizer = {name}(parameters, {built})"
    for step, value in enumerate(rates):
        gradients = [specs[f"g{weight.removeprefix('w')}.{step}"] for weight in weights]
        yield f"optimizer.lr = {value!r}"
        yield f"for parameter, gradient in zip(parameters, [{', '.join(gradients)}]):"
        yield "    parameter.grad = gradient"
        yield "optimizer.step()"
    yield f"results = dict(zip({weights}, [parameter.data for parameter in parameters]))"


QUOTIENT = textwrap.dedent("""\
    def slopes(tensor, function):
        # Central differences: one entry after another is moved up and down by a step.
        found, step = torch.zeros_like(tensor), torch.finfo(tensor.dtype).eps ** (1 / 3)
        for place in range(tensor.numel()):
            values = []
            for sign in (1, -1):
                moved = tensor.detach().clone().contiguous()
                moved.view(-1)[place] += sign * step
                values.append(function(moved).detach())
            found.view(-1)[place] = (values[0] - values[1]) / (2 * step)
        return found
""")


def _described(case: Case) -> Iterator[str]:
    """A function of described inputs: autograd's gradients beside difference quotients."""
    if MODULE in Probed.of(case.subject.found).offers or "," in case.subject.name:
        raise CaseFileError("a script calls functions of tensors: no modules, no pairs with a vjp")
    inputs = case.of_role(Role.INPUT)
    smooth = [spec for spec in inputs if spec.dtype is None]
    names, leaves = (", ".join(spec.name for spec in some) for some in (inputs, smooth))
    yield from QUOTIENT.splitlines()
    yield from ("", *_outputs_of(case, inputs, names), "")
    cotangents = {spec.name: variable(spec) for spec in case.of_role(Role.COTANGENT)}
    weighted = ", ".join(f"{name!r}: {value}" for name, value in cotangents.items())
    yield f"cotangents = {{{weighted}}}"
    yield f"def weighted({names}):"
    yield f"    given = outputs({names})"
    yield "    return sum((given[n].flatten() * cotangents[n]).sum() for n in cotangents)"
    yield ""
    yield f"for leaf in [{leaves}]:"
    yield "    leaf.requires_grad_()"
    yield f"results = outputs({names})"
    yield f"gradients = torch.autograd.grad(weighted({names}), [{leaves}], allow_unused=True)"
    for number, spec in enumerate(smooth):
        others = ", ".join("t" if other.name == spec.name else other.name for other in inputs)
        yield f"results['{spec.name} gradient'] = gradients[{number}]"
        quotient = f"slopes({spec.name}, lambda t: weighted({others}))"
        yield f"results['{spec.name} slopes'] = {quotient}"


def _outputs_of(case: Case, inputs: tuple[TensorSpec, ...], names: str) -> Iterator[str]:
    """A function of the inputs to the outputs by name."""
    settings = {name: repr(value) for name, value in case.layer.arguments}
    named = _keywords({**{spec.name: spec.name for spec in inputs}, **settings})
    ordered = ", ".join([*(spec.name for spec in inputs), *settings.values()])
    yield f"def outputs({names}):"
    yield "    applied = hasattr(Layer, 'apply')  # an autograd.Function"
    yield f"    result = Layer.apply({ordered}) if applied else Layer({named})"
    yield "    if isinstance(result, torch.Tensor):"
    yield f"        return {{{OUTPUT!r}: result}}"
    yield "    if isinstance(result, dict):"
    yield "        return result"
    yield "    return {f'output_{number}': value for number, value in enumerate(result)}"
