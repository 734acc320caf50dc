"""Geometry of the recurrent nets: short sequences, one or two layers, one or two directions."""

from __future__ import annotations

from typing import Any

from verification.cases import LayerCall
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometry import Geometry, Limits, NamedShapes, choices, numbers

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
"""How many vectors of the hidden size each kind makes in one step."""

STATES = {"RNN": ("h",), "GRU": ("h",), "LSTM": ("h", "c")}
"""What each kind carries from step to step; "h_0" is what it starts from, "h_n" what is left."""

SMALL = "within(4)"
"""Larger sums make a step of a gate, which no difference can tell from a jump."""

SWITCH = (False, True)


def suffixes(layers: int, bidirectional: bool) -> list[str]:
    """The ends of the parameters' names, layer by layer, as torch has them: "l0", "l0_reverse"."""
    ways = ("", "_reverse") if bidirectional else ("",)
    return [f"l{layer}{way}" for layer in range(layers) for way in ways]


def output_names(kind: str) -> tuple[str, ...]:
    """The hidden states of all steps, then what is left of each state."""
    return ("output", *(f"{state}_n" for state in STATES[kind]))


@st.composite
def recurrent_nets(draw: DrawFn, limits: Limits, name: str) -> Geometry:
    """RNN, GRU or LSTM: each size of its own; `started` says whether the states that it starts from
    are given too.
    """
    batch, steps = draw(choices(limits.batches)), draw(numbers(1, 3))
    features, hidden = draw(numbers(1, 3)), draw(numbers(1, 2))
    layers = draw(limits.choose("num_layers", choices((1, 1, 2))))
    bias, batch_first, bidirectional = (
        draw(limits.choose(argument, choices(SWITCH)))
        for argument in ("bias", "batch_first", "bidirectional")
    )
    arguments: dict[str, Any] = {
        "input_size": features,
        "hidden_size": hidden,
        "num_layers": layers,
    }
    if name == "RNN":
        arguments["nonlinearity"] = draw(limits.choose("nonlinearity", choices(("tanh", "relu"))))
    started = draw(limits.choose("started", choices(SWITCH)))
    layer = LayerCall.of(
        name,
        **arguments,
        bias=bias,
        batch_first=batch_first,
        bidirectional=bidirectional,
        started=started,
    )
    inputs = [("input", (batch, steps, features) if batch_first else (steps, batch, features))]
    ends = suffixes(layers, bidirectional)
    if started:
        inputs += [(f"{state}_0", (len(ends), batch, hidden)) for state in STATES[name]]
    parameters: list[NamedShapes] = []
    for end in ends:
        arriving = features if end.startswith("l0") else hidden * (1 + bidirectional)
        rows = GATES[name] * hidden
        weights = ((f"weight_ih_{end}", (rows, arriving)), (f"weight_hh_{end}", (rows, hidden)))
        biases = ((f"bias_ih_{end}", (rows,)), (f"bias_hh_{end}", (rows,)))
        parameters.append((*weights, *(biases if bias else ())))
    outputs = output_names(name)
    every: NamedShapes = sum(parameters, ())
    domains = tuple((tensor, SMALL) for tensor, _ in (*inputs, *every))
    return Geometry(layer, tuple(inputs), every, outputs, domains)
