"""How a script calls functions: one that autograd differentiates, a forward with its backward, or
one whose inputs are described.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from verification.cases import Case, Role, TensorSpec
from verification.cases.case_file import CaseFileError
from verification.references.laws.law import OUTPUT
from verification.report.scripts.expressions import (
    INSTEAD,
    keywords,
    returned,
    specs_of,
    taken,
    variable,
)
from verification.subjects.driving.function_calls import Call
from verification.subjects.driving.translation import Translation
from verification.subjects.entry import MODULE
from verification.subjects.probing.probed import Probed


def by_autograd(
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
    yield f"output = {returned(OUTPUT, called, translation)}"
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
            yield f"{key} = {returned(spec.name, key, translation)}"


def differentiated(
    case: Case, call: Call, given: Mapping[str, str], translation: Translation
) -> Iterator[str]:
    """A function of tensors that autograd differentiates; one that goes by position has `apply`."""
    if call.positional is None:
        yield from by_autograd(case, f"Layer({keywords(given)})", "", translation)
        return
    ordered = ", ".join(given[own] for own in call.positional if own in given)
    yield from by_autograd(case, f"Layer.apply({ordered})", "", translation)


def pair(case: Case, given: Mapping[str, str], translation: Translation) -> Iterator[str]:
    """A forward, and a backward of the cotangent and what forward kept, or what it was given."""
    yield f"given = dict({keywords(given)})"
    yield "returned = forward(**given)"
    yield "output, *kept = returned if isinstance(returned, tuple) else (returned,)"
    yield f"results = {{{OUTPUT!r}: {returned(OUTPUT, 'output', translation)}}}"
    cotangents = case.of_role(Role.COTANGENT)
    if not cotangents:
        return
    yield f"left = [{taken(cotangents[0], translation)}, *kept]"
    yield "wanted = inspect.signature(backward).parameters"
    yield "named = [name for name in wanted if name in given or left]"
    yield "arguments = [given[name] if name in given else left.pop(0) for name in named]"
    yield "gradients = backward(*arguments)"
    yield "gradients = gradients if isinstance(gradients, (tuple, list)) else [gradients]"
    absent = Probed.of(case.subject.found).absent
    specs = specs_of(case, Role.INPUT, Role.PARAMETER)
    names = [f"{spec.name} gradient" for spec in specs if spec.name not in absent]
    yield f"results.update(zip({names}, gradients))"
    for key in names:
        value = returned(key.removesuffix(" gradient"), f"results[{key!r}]", translation)
        if translation != Translation():
            yield f"results[{key!r}] = {value}"


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


def described(case: Case) -> Iterator[str]:
    """A function of described inputs: autograd's gradients beside difference quotients."""
    if MODULE in Probed.of(case.subject.found).offers or "," in case.subject.name:
        raise CaseFileError(
            "no script is written for a described module or pair of functions, only for a function"
            f" of tensors; {INSTEAD}"
        )
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
    named = keywords({**{spec.name: spec.name for spec in inputs}, **settings})
    ordered = ", ".join([*(spec.name for spec in inputs), *settings.values()])
    yield f"def outputs({names}):"
    yield "    applied = hasattr(Layer, 'apply')  # an autograd.Function"
    yield f"    result = Layer.apply({ordered}) if applied else Layer({named})"
    yield "    if isinstance(result, torch.Tensor):"
    yield f"        return {{{OUTPUT!r}: result}}"
    yield "    if isinstance(result, dict):"
    yield "        return result"
    yield "    return {f'output_{number}': value for number, value in enumerate(result)}"
