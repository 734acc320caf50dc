"""Building: a fresh layer is torch's twin, in what it starts from and in what it takes for granted.

Every other property sets the parameters and passes every argument.
"""

from dataclasses import replace

import torch

from verification.cases import LayerCall
from verification.properties.registry import Decides, Family, property_of
from verification.references import torch_nn
from verification.references.row import Clause, Row
from verification.strategies.cases import Geometries, ordinary
from verification.strategies.drawing import DrawFn, st
from verification.strategies.geometry import SMALL, Geometry, Limits, choices
from verification.subjects.entry import TRUTH
from verification.subjects.raw import RawLayer
from verification.trials.trial import Trial


@property_of(
    Family.STATE,
    needs={TRUTH, Clause.STATE, "state"},
    cases=ordinary(limits=replace(SMALL, waived=frozenset({Clause.STRIDED_SAME}))),
    decides=Decides.CONTRACT,
)
def check_fresh_layers_start_as_torchs(trial: Trial) -> None:
    """Under the same seed a fresh layer draws the very parameters that its twin in torch.nn draws,
    and its gradients are zeros.
    """
    case = trial.case
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.tensors[0].values.seed)
        ours = RawLayer(trial.build())
        torch.manual_seed(case.tensors[0].values.seed)
        twin = torch_nn.build_module(case.layer, trial.dtype, trial.device)
    if not twin.state_dict():
        trial.unjudged("no parameters")
    for name, drawn in twin.state_dict().items():
        held = ours.held[name]
        trial.require_same(name, held.value, drawn, "torch.nn draws that under this seed")
        if held.gradient is not None:
            zeros = torch.zeros_like(drawn)
            trial.require_same(f"{name} gradient", held.gradient, zeros, "nothing was computed")


def _with_a_default(row: Row) -> Geometries:
    """The row's cases in which one of the arguments that torch has a default for is at it: None
    only where it is drawn, since some kinds take no other argument for it.
    """
    known = torch_nn.defaults(row.name)
    optional = [p.name for p in row.signature.parameters.values() if p.default is not p.empty]
    held = tuple((name, known[name]) for name in optional if known.get(name) is not None)

    @st.composite
    def geometries(draw: DrawFn, limits: Limits) -> Geometry:
        left_out = (draw(choices(held)),) if held else ()
        return draw(row.geometries(replace(limits, fixed=(*left_out, *limits.fixed))))

    return geometries


@property_of(
    Family.STATE,
    needs={TRUTH, Clause.REFUSALS},
    cases=ordinary(limits=SMALL, empty_batch=False, among=_with_a_default),
    decides=Decides.CONTRACT,
)
def check_arguments_left_out_are_torchs(trial: Trial) -> None:
    """A layer built without the arguments that have torch's default computes the same."""
    call = trial.case.layer
    defaults = torch_nn.defaults(call.name)
    given = tuple((n, v) for n, v in call.arguments if n not in defaults or v != defaults[n])
    if len(given) == len(call.arguments):
        trial.unjudged("no argument has torch's default")
    short = LayerCall(call.name, given, call.children)
    subject = trial.attempt(
        f"cannot be built as {short}", trial.entry.build, short, trial.dtype, trial.device
    )
    trial.require_results(trial.forward(subject=subject), trial.true_outputs)
