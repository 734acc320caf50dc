"""For each shape that hand-written layers have in the wild: a right one and a wrong one are told
apart, without a line of adapter code, and a case says how its layer is driven.
"""

import json
from typing import NoReturn

import hypothesis
import pytest
import torch

from verification import catalogue
from verification.cases import Case, SubjectSpec
from verification.cases.case_file import CaseFile, parse
from verification.properties import PROPERTIES
from verification.report.scripts.script import script
from verification.running.campaign import hunt
from verification.subjects.foreign import kind_named
from verification.subjects.probing import trying
from verification.subjects.resolve import foreign
from verification.trials.discrepancy import Discrepancy, discrepancies
from verification.trials.guards import globals_restored
from verification.trials.run_case import run_case

STATEFUL = "verification.meta.wild.stateful"
ARRAYS = "verification.meta.wild.arrays"
FUNCTIONS = "verification.meta.wild.functions"
KINDS = "verification.meta.wild.kinds"
SEQUENCES = "verification.meta.wild.sequences"
COURSES = "verification.meta.wild.courses"
LEARNING = "verification.meta.wild.learning"

SHAPES = {
    "pairs": (f"{STATEFUL}:Pairs", "Linear"),
    "gradients bound anew, and placeholders": (f"{STATEFUL}:Rebound", "Linear"),
    "bare tensors with grad": (f"{STATEFUL}:Listed", "Linear"),
    "values and gradients in one list": (f"{STATEFUL}:Flat", "Linear"),
    "dicts": (f"{STATEFUL}:Dicts", "Linear"),
    "objects in attributes": (f"{STATEFUL}:Objects", "Linear"),
    "attributes, backward(x, g)": (f"{STATEFUL}:Attributes", "Conv2d"),
    "a tuple from backprop": (f"{STATEFUL}:Tuples", "Conv2d"),
    "no input gradient": (f"{STATEFUL}:LearnsWithoutInput", "Linear"),
    "forward returns a cache": (f"{STATEFUL}:Cached", "ReLU"),
    "a loss": (f"{STATEFUL}:Loss", "MSELoss"),
    "a module": (f"{STATEFUL}:Module", "Conv2d"),
    "an optimiser": (f"{STATEFUL}:Descent", "SGD"),
    "lists of arrays": (f"{ARRAYS}:Dense", "Linear"),
    "arrays, channels last": (f"{ARRAYS}:ChannelsLast", "Conv2d"),
    "a pair with a dict": (f"{ARRAYS}:conv_forward,conv_backward", "Conv2d"),
    "a pair with a cache": (f"{ARRAYS}:relu_forward,relu_backward", "ReLU"),
    "an autograd.Function": (f"{FUNCTIONS}:ConvFunction", "Conv2d"),
    "an autograd.Function, context apart": (f"{FUNCTIONS}:Leaky", "LeakyReLU"),
    "a custom operator": (f"{FUNCTIONS}:custom_linear", "Linear"),
    "a function that launches a kernel": (f"{FUNCTIONS}:fused_linear", "Linear"),
    "a norm that always trains": (f"{KINDS}:BatchNorm", "BatchNorm2d"),
    "a norm of the last axis": (f"{KINDS}:LayerNorm", "torch.nn.LayerNorm"),
    "an axis that is assumed": (f"{KINDS}:Softmax", "Softmax"),
    "a reduction that is assumed": (f"{KINDS}:SummedLoss", "MSELoss"),
    "a target with a gradient": (f"{KINDS}:AbsoluteLoss", "L1Loss"),
    "labels for an input": (f"{KINDS}:Embedding", "Embedding"),
    "an argument in parts": (f"{KINDS}:Adam", "torch.optim.Adam"),
    "one output and one bias": (f"{SEQUENCES}:LSTM", "LSTM"),
    "states in and out": (f"{SEQUENCES}:RNN", "RNN"),
    "a pair over time, one bias": (f"{SEQUENCES}:rnn_forward,rnn_backward", "RNN"),
    "matrices alone": (f"{COURSES}:Norm", "BatchNorm1d"),
    "a dict with a mode": (f"{COURSES}:batchnorm_forward,batchnorm_backward", "BatchNorm1d"),
    "gradients in a tuple, the cache first": (f"{COURSES}:Apart", "Linear"),
    "an array of rows": (f"{COURSES}:Table", "Embedding"),
    "probabilities for a target": (f"{COURSES}:OneHot", "CrossEntropyLoss"),
    "labels of a matrix": (f"{COURSES}:Labels", "CrossEntropyLoss"),
    "dropout where the kind has none": (f"{COURSES}:Attention", "ScaledDotProductAttention"),
    "the share that is kept": (f"{COURSES}:dropout_forward,dropout_backward", "Dropout"),
    "a step of a function": (f"{COURSES}:sgd_momentum", "SGD"),
    "a step in place": (f"{COURSES}:rmsprop", "torch.optim.RMSprop"),
    "an optimiser of dicts": (f"{COURSES}:Momentum", "SGD"),
    "a pair of functions of tensors": (f"{FUNCTIONS}:linear_forward,linear_backward", "Linear"),
    "learns in its backward": (f"{LEARNING}:Learning", "Linear"),
    "built with its learning rate": (f"{LEARNING}:Paced", "Linear"),
    "one column": (f"{LEARNING}:Column", "Linear"),
    "one image, channels last": (f"{LEARNING}:Filters", "Conv2d"),
    "samples as columns": (f"{LEARNING}:linear_forward,linear_backward", "Linear"),
    "built from its parameters": (f"{LEARNING}:Given", "Linear"),
    "private parameters, a hidden eps": (f"{LEARNING}:Private", "BatchNorm1d"),
    "a loss with its target first": (f"{LEARNING}:TargetFirst", "MSELoss"),
    "an optimiser of arrays": (f"{LEARNING}:Velocity", "SGD"),
}


NO_SCRIPT = (
    f"{SEQUENCES}:RNN",
    f"{COURSES}:Apart",
    f"{COURSES}:Momentum",
    f"{COURSES}:sgd_momentum",
    f"{COURSES}:rmsprop",
    f"{LEARNING}:Learning",
    f"{LEARNING}:Paced",
    f"{LEARNING}:Column",
    f"{LEARNING}:Filters",
    f"{LEARNING}:linear_forward,linear_backward",
    f"{LEARNING}:Velocity",
)
"""Where the script asks its reader how the calls follow each other, or where gradients are."""


def wrong_name(name: str) -> str:
    return (
        f"{name}_wrong" if name.rpartition(".")[2].partition(":")[2].islower() else f"{name}Wrong"
    )


def failures(name: str, like: str) -> list[Discrepancy]:
    """What is wrong with a layer, by its outputs and gradients."""
    entry, _ = foreign(SubjectSpec(name, kind_named(like).name))
    settings = hypothesis.settings(
        max_examples=40, derandomize=True, database=None, phases=[hypothesis.Phase.generate]
    )
    found: list[Discrepancy] = []
    with catalogue.added(entry):
        for name in ("results_are_exact_on_integers", "forward_matches_reference"):
            try:
                hunt(entry, PROPERTIES[name], settings=settings)
            except Exception as error:
                found += discrepancies(error)
                if not found:
                    raise
    return found


def replayed(case: Case) -> Discrepancy:
    """What is wrong when the case comes back from its file."""
    back = parse(json.dumps(CaseFile(case).to_dict())).case
    assert back == case
    entry, _ = foreign(back.subject)
    with catalogue.added(entry):
        outcome = run_case(back)
    assert isinstance(outcome, Discrepancy)
    return outcome


def exit_of(text: str) -> object:
    """With what a script exits."""
    try:
        with globals_restored():
            exec(text, {})
    except SystemExit as ended:
        return ended.code
    finally:
        torch.set_default_device(None)
    return None


def never(*_: object) -> NoReturn:
    raise AssertionError("a replay draws nothing")


@pytest.mark.parametrize(("name", "like"), SHAPES.values(), ids=SHAPES)
def test_right_and_wrong_are_told_apart(
    name: str, like: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failures(name, like) == []
    found = failures(wrong_name(name), like)
    assert found
    monkeypatch.setattr(trying, "sample", never)
    monkeypatch.setattr("verification.subjects.probing.partaking.sample", never)
    for failure in found:
        assert replayed(failure.case).finding == failure.finding
        if failure.finding.kind == "value":
            text = script(CaseFile(failure.case, failure.finding.to_dict()))
            assert exit_of(text) == (2 if name in NO_SCRIPT else 1), text


def test_bare_tensors_in_inference_mode_are_no_fault() -> None:
    """A layer that is built there could take nobody's parameters."""
    entry, _ = foreign(SubjectSpec(f"{STATEFUL}:Attributes", kind_named("Conv2d").name))
    settings = hypothesis.settings(max_examples=10, derandomize=True, database=None)
    with catalogue.added(entry):
        hunt(entry, PROPERTIES["works_without_autograd"], settings=settings)
