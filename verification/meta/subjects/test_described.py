"""A function by its inputs' description, end to end: annotations, the child, replay, refusals."""

from typing import NamedTuple

import pytest
import torch

import verification
from verification.cases.case_file import CaseFileError, read
from verification.meta.functions.intended import StraightThrough
from verification.report.scripts.script import script
from verification.report.summary import Result
from verification.running.replay import replay
from verification.strategies.descriptions.annotations import annotated_inputs
from verification.strategies.descriptions.extents import DescriptionError
from verification.subjects.loading import SubjectError
from verification.trials.discrepancy import Discrepancy

QUICK = {"dtypes": ["float64"], "examples": 8}

FUNCTIONS = """
import os
import time

import torch


class Doubles(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 3 * g


def crashes(x):
    if len(x) > 2:
        os.abort()
    return x.sin()
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "functions_of_mine.py").write_text(FUNCTIONS)
    return "functions_of_mine.py"


def of(report, name):
    return next(cell for cell in report.summary.cells if cell.property == name)


def test_a_failure_is_stored_with_its_numbers_and_replayed_from_its_file(functions, tmp_path):
    name = f"{functions}:Doubles"
    prop = "gradients_are_derivatives_of_forward"
    report = verification.check(name, inputs={"x": "n c"}, properties=[prop], **QUICK)
    assert not report.ok
    (path,) = (tmp_path / "reports" / "cases").glob("*.case.json")
    file = read(path)
    assert dict(file.case.subject.inputs) == {"x": "n c"}
    assert all(spec.values.stored is not None for spec in file.case.tensors)
    assert isinstance(replay(file, [name]).outcome, Discrepancy)
    with pytest.raises(SubjectError, match="allow it with --allow-layer"):
        replay(file)


def test_a_crash_ends_one_case_and_not_the_run(functions):
    report = verification.check(
        f"{functions}:crashes", inputs={"x": "n"}, properties=["tensors_are_left_alone"], **QUICK
    )
    cell = of(report, "tensors_are_left_alone")
    assert cell.result is Result.FAILED
    assert "killed by SIGABRT" in cell.failures[0].sentence


def test_a_closure_is_judged_in_this_process_with_closures_declared(tmp_path):
    def surrogate(x):
        return x

    class Steps(StraightThrough):
        """Of this function, so that no other process can import it."""

    report = verification.check(
        Steps,
        inputs={"x": "n"},
        derivative_of=surrogate,
        properties=["gradients_are_derivatives_of_forward"],
        cases=tmp_path,
        **QUICK,
    )
    assert report.ok
    assert report.unsupervised


def test_what_a_function_is_seen_to_do_is_said(tmp_path):
    def noisy(x):
        return (x.float() * torch.rand(3)).to(x.dtype), x.argmax()

    report = verification.check(
        noisy,
        inputs={"x": "3"},
        properties=["same_call_gives_same_bits"],
        cases=tmp_path,
        **QUICK,
    )
    said = " ".join(report.found.notes)
    assert report.ok
    assert "draws random numbers" in said
    assert "fewer bits than float64" in said
    assert "output_1 has no derivative" in said


def test_what_gives_the_same_twice_by_chance_is_not_taken_for_coarse(tmp_path):
    for seed in range(12):
        torch.manual_seed(seed)
        report = verification.check(
            lambda x: (x + torch.rand_like(x)).floor() + 0 * x,
            inputs={"x": ""},
            properties=["same_call_gives_same_bits"],
            cases=tmp_path,
            dtypes=["float64"],
            examples=2,
        )
        assert "fewer bits than float64" not in " ".join(report.found.notes)


class Axes(NamedTuple):
    """What a jaxtyping annotation tells of itself."""

    dim_str: str
    dtypes: list


def test_an_annotated_signature_describes_itself(tmp_path):
    def scaled(x: Axes("n c", ["float32", "float64"]), mask: Axes("n c", ["bool"]), by=2.0):
        return x.masked_fill(mask, 0.0) * by

    assert annotated_inputs(scaled, ()) == {"x": "n c", "mask": "n c mask"}
    report = verification.check(
        scaled, properties=["gradients_are_derivatives_of_forward"], cases=tmp_path, **QUICK
    )
    assert report.ok


def test_the_further_words_of_an_annotation_are_known():
    def scaled(x: Axes("rows=3 #c", ["float32"]), y: Axes("*#b _ ?c", ["float32"])):
        return x.sum() * y

    assert annotated_inputs(scaled, ()) == {"x": "3 c", "y": "*b y_1 c"}


def test_a_signature_of_jaxtyping_describes_itself(tmp_path):
    described = pytest.importorskip("jaxtyping").Float[torch.Tensor, "n c"]

    class Gate(torch.nn.Module):
        def __init__(self, c):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(c))

        def forward(self, x: described):
            return x * self.weight

    report = verification.check(
        Gate,
        settings={"c": [2, 3]},
        properties=["gradients_are_derivatives_of_forward"],
        cases=tmp_path,
        **QUICK,
    )
    assert report.ok


def test_whole_numbers_in_an_annotation_must_be_described():
    def picks(x: Axes("n c", ["float32"]), labels: Axes("n", ["int64"])):
        return x[labels]

    with pytest.raises(DescriptionError, match="describe it in inputs, as labels"):
        annotated_inputs(picks, ())


def ends(sizes, generator):
    return torch.randint(0, sizes["n"], (sizes["b"],), generator=generator)


def too_many_ends(sizes, generator):
    return torch.cat([ends(sizes, generator)] * 2)


def picked(x, places):
    return x[places] * 2


def test_a_domain_of_ones_own_is_stored_by_its_name_and_replayed(functions, tmp_path):
    (tmp_path / functions).write_text(FUNCTIONS + DRAWN)
    name = f"{functions}:Picks"
    report = verification.check(
        name,
        inputs={"x": "n c", "places": f"b {functions}:ends"},
        where="n >= 1",
        properties=["gradients_are_derivatives_of_forward"],
        **QUICK,
    )
    assert not report.ok
    (path,) = (tmp_path / "reports" / "cases").glob("*.case.json")
    file = read(path)
    places = next(spec for spec in file.case.tensors if spec.name == "places")
    assert places.domain.startswith(f"{functions}:ends(")
    assert places.values.stored is None
    allowed = [name, f"{functions}:ends"]
    assert isinstance(replay(file, allowed).outcome, Discrepancy)


DRAWN = """

def ends(sizes, generator):
    return torch.randint(0, sizes["n"], (sizes["b"],), generator=generator)


class Picks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, places):
        ctx.save_for_backward(places)
        ctx.shape = x.shape
        return x[places]

    @staticmethod
    def backward(ctx, g):
        (places,) = ctx.saved_tensors
        return g.new_zeros(ctx.shape).index_copy(0, places, g), None
"""


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, by):
        return by * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g, None


class Doubling(torch.nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return Doubled.apply(x, self.by)


@pytest.mark.parametrize("judged", [Doubled, Doubling])
def test_a_script_repeats_what_is_a_function_with_its_settings(judged, tmp_path):
    prop = "gradients_are_derivatives_of_forward"
    asked = {"inputs": {"x": "n"}, "settings": {"by": [3.0]}, "properties": [prop]}
    verification.check(judged, supervised=False, cases=str(tmp_path), **asked, **QUICK)
    (path,) = tmp_path.glob("*.case.json")
    if judged is Doubled:
        assert "by=3.0" in script(read(path))
        return
    with pytest.raises(CaseFileError, match="a described module"):
        script(read(path))


def test_a_function_with_a_closure_for_a_domain_is_judged_in_this_process(tmp_path):
    def all_of_them(sizes, generator):
        return ends(sizes, generator)

    report = verification.check(
        picked,
        inputs={"x": "n", "places": ("b", all_of_them)},
        where="n >= 1",
        cases=tmp_path,
        **QUICK,
    )
    assert report.ok
    assert "cannot be imported" in report.unsupervised


def sine(x, eps=0.0):
    return x.sin() + eps


def refuses_everything(x):
    raise ValueError("no")


def counts(x):
    return (x > 0).sum()


@pytest.mark.parametrize(
    ("function", "asked", "says"),
    [
        (sine, {}, "has no annotation such as Float"),
        (sine, {"inputs": {}}, "there are no inputs"),
        (sine, {"inputs": {"y": "n"}}, "takes no y: it takes x, eps"),
        (sine, {"inputs": {"x": "n"}, "constant": {"t"}}, "constant names t, which no input is"),
        (
            sine,
            {"inputs": {"x": "n"}, "settings": {"eps": 1}},
            "setting 'eps' is 1: give the values",
        ),
        (sine, {"inputs": {"x": "n"}, "where": "n >"}, "'n >' is no expression"),
        (
            sine,
            {"inputs": {"x": "n"}, "reference": refuses_everything},
            "raises ValueError where the function does not",
        ),
        (sine, {"inputs": {"x": "n"}, "same": {"m"}}, "same names m, which no input has"),
        (
            picked,
            {"inputs": {"x": "n", "places": ("b", too_many_ends)}},
            "let it return a tensor of that shape",
        ),
        (
            picked,
            {"inputs": {"x": "n", "places": ("n", ends)}},
            "raises KeyError for {'n': ",
        ),
        (
            picked,
            {"inputs": {"x": "n", "places": ("[n]", ends)}},
            "no axis may be missing",
        ),
        (sine, {"inputs": {"x": ends}}, 'as in ("n c", draw)'),
        (torch.nn.Linear, {"inputs": {"x": "n c"}}, "takes no x: it takes input, in_features"),
        (refuses_everything, {"inputs": {"x": "n"}}, "it raises ValueError for x"),
        (counts, {"inputs": {"x": "n"}}, "no output has a derivative"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(function, asked, says):
    with pytest.raises(SubjectError) as error:
        verification.check(function, supervised=False, **asked)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
