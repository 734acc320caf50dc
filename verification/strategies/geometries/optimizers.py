"""Geometry of the optimisers: parameters, a gradient of each in every step, and what says how a
step is made of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from verification.cases import LayerCall
from verification.references.clauses import Clause
from verification.strategies.drawing import DrawFn, SearchStrategy, st
from verification.strategies.geometries.activations import draw_arguments
from verification.strategies.geometry import Geometry, Limits, choices, draw_shape, numbers

RATES = (1.0, 0.5, 0.25, 2.0, 0.1, 0.01, 0.0)
"""Learning rates: powers of two, under which integers stay exact, and others."""

MOMENTA = (0.0, 1.0, 0.5, 0.9)
"""How much of the last update stays."""

DECAYS = (0.0, 0.5, 0.01)
"""How much of the weights is added to a gradient, or taken from the weights."""

BETAS = ((0.9, 0.999), (0.5, 0.75), (0.0, 0.9), (0.8, 0.0))
"""How much of the two running means stays; 0 keeps nothing."""

SMOOTHING = (0.99, 0.5, 0.9)
"""How much of a running mean of squares stays."""

EPSILONS = (1e-8, 0.125, 1e-3)
"""What keeps a division by a root from overflowing."""

SWITCH = (False, True)

DrawArguments = Callable[[DrawFn, Limits], dict[str, Any]]
"""Draws the arguments of an optimiser beside its learning rates."""


@st.composite
def update_sequences(draw: DrawFn, limits: Limits, name: str, arguments: DrawArguments) -> Geometry:
    """Steps of an optimiser: "w0", "w1", ... are what is optimised, "g0.1" is w0's gradient in step
    1, and `lr` has one number for each step.
    """
    steps = draw(numbers(1, 4))
    small = replace(limits, elements=limits.elements // (2 * steps))
    sizes = [draw_shape(draw, small)]
    for _ in range(draw(numbers(0, 2))):
        # Parameters of one shape are what is taken for one another.
        sizes.append(sizes[-1] if draw(numbers(0, 1)) else draw_shape(draw, small))
    constant = Clause.CHANGING_RATE in limits.waived
    rates = tuple(draw(choices(RATES)) for _ in range(1 if constant else steps))
    rates = rates * steps if constant else rates
    layer = LayerCall.of(name, lr=rates, **arguments(draw, limits))
    weights = [(f"w{i}", shape) for i, shape in enumerate(sizes)]
    gradients = [(f"g{i}.{t}", s) for t in range(steps) for i, s in enumerate(sizes)]
    outputs = tuple(name for name, _ in weights)
    return Geometry(layer, (*weights, *gradients), outputs=outputs)


def among(**options: tuple[Any, ...]) -> DrawArguments:
    """Each argument is one of its options."""
    return functools.partial(draw_arguments, options=options)


def momentum_and_decay(draw: DrawFn, limits: Limits) -> dict[str, Any]:
    """torch.optim.SGD's arguments: Nesterov's momentum wants a momentum and no dampening."""
    arguments = among(momentum=MOMENTA, dampening=(0.0, 0.5, 0.1), weight_decay=DECAYS)(
        draw, limits
    )
    allowed = arguments["momentum"] > 0 and arguments["dampening"] == 0
    nesterov = draw(limits.choose("nesterov", choices(SWITCH if allowed else (False,))))
    return arguments | {"nesterov": nesterov}


adaptive_moments = among(betas=BETAS, eps=EPSILONS, weight_decay=DECAYS, amsgrad=SWITCH)
"""Adam's and AdamW's arguments."""

mean_squares = among(
    alpha=SMOOTHING, eps=EPSILONS, weight_decay=DECAYS, momentum=MOMENTA, centered=SWITCH
)
"""RMSprop's arguments."""


def sequences_of(
    name: str, arguments: DrawArguments
) -> Callable[[Limits], SearchStrategy[Geometry]]:
    """The geometries of one kind of optimiser."""
    return functools.partial(update_sequences, name=name, arguments=arguments)
