"""How a script makes an optimiser's steps: each with its rate, and a gradient a parameter."""

from __future__ import annotations

from collections.abc import Iterator

from verification.cases import Case, Role
from verification.report.scripts.expressions import (
    ask,
    keywords,
    literal,
    stored,
    variable,
)
from verification.subjects.driving.function_calls import Call


def optimizer(case: Case) -> Iterator[str]:
    """An optimiser's steps: each with its rate, and a gradient for every parameter."""
    arguments = case.layer.kwargs
    rates = arguments.pop("lr")
    specs = {spec.name: variable(spec) for spec in case.of_role(Role.INPUT)}
    weights = [name for name in specs if name.startswith("w")]
    name, rate, own = case.layer.name, "lr", arguments
    if case.subject.like is not None:
        call, translation = stored(case)
        if isinstance(call, Call) or translation.numpy:
            yield from ask("how the steps of a function, or on arrays, follow each other")
            return
        rate = next((mine for mine, (kind, _) in call.sources.items() if kind == "lr"), "lr")
        name, own = "Layer", call.call(arguments)
    kind = "Parameter" if case.subject.like is None else "torch.nn.Parameter"
    yield f"parameters = [{', '.join(f'{kind}({specs[w]})' for w in weights)}]"
    built = keywords({rate: repr(rates[0]), **{n: literal(v) for n, v in own.items()}})
    if case.subject.like is not None:
        own_names = tuple(call.sources)
        yield f"if next(iter(inspect.signature(Layer).parameters)) in {own_names}:"
        yield from ask("how the optimiser is given its parameters", "    ")
    yield f"optimizer = {name}(parameters, {built})"
    for step, value in enumerate(rates):
        gradients = [specs[f"g{weight.removeprefix('w')}.{step}"] for weight in weights]
        yield f"optimizer.lr = {value!r}"
        yield f"for parameter, gradient in zip(parameters, [{', '.join(gradients)}]):"
        yield "    parameter.grad = gradient"
        yield "optimizer.step()"
    yield f"results = dict(zip({weights}, [parameter.data for parameter in parameters]))"
