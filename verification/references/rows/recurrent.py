"""Rows of the recurrent nets.

Source: the formulas of torch.nn.RNN's, LSTM's and GRU's documentation, whose names of parameters
and order of gates they share.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from gradcheck.subjects import Subject
from verification.cases import LayerCall
from verification.references.laws.law import INPUT, OUTPUT, Computed
from verification.references.laws.running_error import Number, Pull, concatenated, stored
from verification.references.laws.running_error_functions import above, sigmoid, tanh, where
from verification.references.row import Clause, Row, Trait
from verification.strategies.geometries import recurrent
from verification.subjects.driving.ordered import Ordered

States = tuple[Number, ...]
"""What is carried from step to step, each (batch, hidden)."""

Cell = Callable[[Mapping[str, Any], Number, Number, States], States]
"""(arguments, W x + b, W h + b, states) -> the states after the step."""


# A layer keeps its states, and of its gates the slopes and the gradients: each is one number for
# whatever comes after it.


def _sigmoid(x: Number) -> Number:
    y = sigmoid(x.constant())
    return x.made(y.enclosure, Pull(x, lambda g: stored(g * stored(y * (1 - y)))))


def _tanh(x: Number) -> Number:
    y = tanh(x.constant())
    return x.made(y.enclosure, Pull(x, lambda g: stored(g * stored(1 - y * y))))


def _plain(arguments: Mapping[str, Any], x: Number, r: Number, states: States) -> States:
    """The state h = tanh(W x + b + W h + b), or its ReLU."""
    total = x + r
    if arguments["nonlinearity"] == "relu":
        return (where(above(total, 0), total, 0.0),)
    return (_tanh(total),)


def _lstm(arguments: Mapping[str, Any], x: Number, r: Number, states: States) -> States:
    """The cell c = σ(f) c + σ(i) tanh(g), and h = σ(o) tanh(c)."""
    i, f, g, o = _gates(x + r, 4)
    cell = _sigmoid(f) * states[1] + _sigmoid(i) * _tanh(g)
    return _sigmoid(o) * _tanh(cell), cell


def _gru(arguments: Mapping[str, Any], x: Number, r: Number, states: States) -> States:
    """The state h = (1 - z) n + z h with n = tanh(x + σ(r) h), written n + z (h - n): its
    terms are the larger ones.
    """
    (x_r, x_z, x_n), (h_r, h_z, h_n) = _gates(x, 3), _gates(r, 3)
    update = _sigmoid(x_z + h_z)
    new = _tanh(x_n + _sigmoid(x_r + h_r) * h_n)
    return (new + update * (states[0] - new),)


def _gates(number: Number, count: int) -> list[Number]:
    """The parts of the last axis, one for each gate."""
    size = number.shape[-1] // count
    return [_part(number, -1, k * size, size) for k in range(count)]


def _part(number: Number, dim: int, start: int, length: int) -> Number:
    return number.moved(lambda t: t.narrow(dim, start, length))


def _at(number: Number, index: int) -> Number:
    """One entry along the first axis, which is gone afterwards."""
    return number.moved(lambda t: t[index])


def _stacked(numbers: Sequence[Number]) -> Number:
    return concatenated([n.moved(lambda t: t[None]) for n in numbers], 0)


def _turned(number: Number) -> Number:
    """The first two axes exchanged."""
    return number.moved(lambda t: t.transpose(0, 1))


def _affine(x: Number, tensors: Mapping[str, Number], end: str) -> Number:
    """W x + b along the last axis."""
    product = x @ tensors[f"weight_{end}"].moved(lambda t: t.T)
    bias = tensors.get(f"bias_{end}")
    return product if bias is None else product + bias


def _one_way(
    cell: Cell,
    arguments: Mapping[str, Any],
    tensors: Mapping[str, Number],
    end: str,
    sequence: Number,
    states: States,
) -> tuple[Number, States]:
    """One layer in one direction: the hidden state of every step, in the sequence's order, and the
    last states.
    """
    steps = list(range(sequence.shape[0]))
    backwards = end.endswith("_reverse")
    through_input = _affine(sequence, tensors, f"ih_{end}")
    hidden = {}
    for step in reversed(steps) if backwards else steps:
        through_state = _affine(states[0], tensors, f"hh_{end}")
        after = cell(arguments, _at(through_input, step), through_state, states)
        states = tuple(stored(state) for state in after)
        hidden[step] = states[0]
    return _stacked([hidden[step] for step in steps]), states


def _recurrent(
    arguments: Mapping[str, Any], tensors: Mapping[str, Number], kind: str, cell: Cell
) -> dict[str, Number]:
    """All layers: the output of the last, and the last states of each layer and direction."""
    sequence = tensors[INPUT]
    if arguments["batch_first"]:
        sequence = _turned(sequence)
    ways = 1 + arguments["bidirectional"]
    ends = recurrent.suffixes(arguments["num_layers"], arguments["bidirectional"])
    last: list[States] = []
    for first in range(0, len(ends), ways):
        outputs = []
        for place in range(first, first + ways):
            start = _starts(arguments, tensors, kind, place, sequence)
            output, states = _one_way(cell, arguments, tensors, ends[place], sequence, start)
            outputs.append(output)
            last.append(states)
        sequence = concatenated(outputs, -1)
    left = zip(recurrent.STATES[kind], zip(*last, strict=True), strict=True)
    output = _turned(sequence) if arguments["batch_first"] else sequence
    return {OUTPUT: output, **{f"{name}_n": _stacked(states) for name, states in left}}


def _starts(
    arguments: Mapping[str, Any],
    tensors: Mapping[str, Number],
    kind: str,
    place: int,
    sequence: Number,
) -> States:
    """The states that one layer and direction starts from: zeros unless they are given."""
    names = [f"{state}_0" for state in recurrent.STATES[kind]]
    zeros = sequence.value.new_zeros(sequence.shape[1], arguments["hidden_size"])
    return tuple(
        _at(tensors[name], place) if name in tensors else sequence.like(zeros) for name in names
    )


class _Apart:
    """torch's layer, which says its arguments, and takes and returns its states apart. `started`
    says that the first ones are given too; a layer that takes none does not take that argument.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        started: bool = False,
        **kind: Any,
    ) -> None:
        super().__init__(  # type: ignore[call-arg]
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            bidirectional=bidirectional,
            **kind,
        )

    def forward(self, input: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """The hidden states of all steps, then what is left of each state."""
        first = states if len(states) > 1 else next(iter(states), None)
        output, left = super().forward(input, first)  # type: ignore[misc]
        return (output, *(left if isinstance(left, tuple) else (left,)))


class GRU(_Apart, nn.GRU):  # type: ignore[misc]
    """Two gates; one state."""


class LSTM(_Apart, nn.LSTM):  # type: ignore[misc]
    """Three gates; two states."""


class RNN(_Apart, nn.RNN):  # type: ignore[misc]
    """No gates; the state is tanh or ReLU of a sum."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        started: bool = False,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            bidirectional,
            started,
            nonlinearity=nonlinearity,
        )


def _in_order(call: LayerCall, make: Callable[[], Subject]) -> Subject:
    return Ordered(make(), recurrent.output_names(call.name))


def _row(kind: str, cell: Cell, twin: type[nn.Module]) -> Row:
    return Row(
        name=kind,
        law=Computed(functools.partial(_recurrent, kind=kind, cell=cell)),
        geometries=functools.partial(recurrent.recurrent_nets, name=kind),
        # Samples lie along the second axis of the states, and of the input too by default.
        traits=frozenset({Trait.DIFFERENTIABLE}),
        clauses=frozenset(Clause) - {Clause.NON_FINITE},
        twin=twin,
        adapter=_in_order,
        spare=("bias_hh",),
        departures={
            Clause.FRESH_OUTPUTS: "the output is kept, and writing to it changes the backward"
        },
    )


ROWS = (_row("RNN", _plain, RNN), _row("LSTM", _lstm, LSTM), _row("GRU", _gru, GRU))
