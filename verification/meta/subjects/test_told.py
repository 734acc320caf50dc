"""What a user tells `check`: names, places, layouts, what is held, which layer counts as true."""

from pathlib import Path

import pytest
import torch

import verification
from verification.__main__ import main
from verification.commands.told import keywords, name_and_attributes, name_and_axes
from verification.subjects.foreign import kind_named

LAYERS = """
import torch

class Odd:
    '''Linear with names that mean nothing, a weight in x out beside a square one, and axes 2.'''

    def __init__(self, p, q, mode):
        assert mode == "fast"
        self.alpha, self.omega = torch.randn(p, q), torch.randn(q)

    def forward(self, x):
        self.x = x
        return x @ self.alpha + self.omega

    def pull(self, g):
        self.first, self.second = self.x.mT @ g, g.sum(0)
        return g @ self.alpha.mT

class Doubled:
    '''Twice a ReLU: no row knows it.'''

    factor = 2

    def forward(self, x):
        self.x = x
        return self.factor * x.clamp(min=0)

    def backward(self, g):
        return self.factor * g * (self.x > 0)

class Faster(Doubled):
    def forward(self, x):
        self.x = x
        return torch.where(x > 0, x + x, 0 * x)

class FasterWrong(Faster):
    def backward(self, g):
        return g * (self.x > 0)

def twice(x):
    return 2 * torch.relu(x)

class Narrow(Doubled):
    def forward(self, x):
        return super().forward(x)[..., :1]
"""

PARITY = ["forward_matches_reference", "gradients_match_reference"]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("layers.py").write_text(LAYERS)


def checked(layer: str, like: str, **told: object) -> verification.Report:
    return verification.check(
        f"layers.py:{layer}",
        like=like,
        properties=PARITY,
        dtypes=["float64"],
        examples=30,
        **told,
    )


def test_a_layer_that_must_be_told_of() -> None:
    report = checked(
        "Odd",
        "Linear",
        kwargs={"mode": "fast"},
        held={"weight": ("alpha", "first"), "bias": ("omega", "second")},
        layout={"weight": (1, 0)},
        axes=(2,),
        backward="pull",
    )
    assert report.ok, str(report)
    assert "found: arguments: p is in_features, q is out_features" in str(report)


WILD = "verification.meta.wild"

LIMITED = {
    f"{WILD}.courses:Norm": ("BatchNorm1d", "inputs of 2 axes only"),
    f"{WILD}.kinds:SummedLoss": ("MSELoss", "taken as reduction='sum'"),
    f"{WILD}.stateful:LearnsWithoutInput": (
        "Linear",
        "the gradient of input is not returned, and not judged",
    ),
    f"{WILD}.courses:dropout_forward,dropout_backward": ("Dropout", "p is the share that is kept"),
    f"{WILD}.kinds:Detached": ("L1Loss", "the gradient of target is not returned, and not judged"),
    f"{WILD}.sequences:LSTM": ("LSTM", "has no bias_hh_l0, which counts as zero"),
}


@pytest.mark.parametrize("name", LIMITED)
def test_what_a_layer_leaves_out_stands_in_the_verdict(name: str) -> None:
    like, limit = LIMITED[name]
    report = verification.check(
        name, like=like, properties=PARITY[:1], examples=3, supervised=False
    )
    assert report.ok, str(report)
    assert limit in str(report).splitlines()[-1]
    assert limit in report.to_dict()["limits"]


def test_nothing_is_left_out_by_a_layer_that_takes_all() -> None:
    assert not checked("Faster", "ReLU", against="layers.py:Doubled").found.limits


def test_what_is_told_travels_in_the_case_and_its_replay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = checked("FasterWrong", "ReLU", against="layers.py:Doubled")
    (cell,) = report.failures
    assert cell.property == "gradients_match_reference"
    case = cell.failures[0].case
    assert case is not None
    assert '"against": "layers.py:Doubled"' in Path(case).read_text()
    wrong, old = (f"--allow-layer=layers.py:{name}" for name in ("FasterWrong", "Doubled"))
    assert main(["replay", case, wrong, old]) == 1
    assert "input gradient wrong" in capsys.readouterr().out


def test_a_rewrite_is_judged_by_the_layer_that_it_replaces() -> None:
    assert checked("Faster", "ReLU", against="layers.py:Doubled").ok
    assert not checked("Faster", "ReLU").ok


def test_a_reference_function_counts_as_true() -> None:
    assert checked("Faster", "ReLU", reference="layers.py:twice").ok
    assert not checked("FasterWrong", "ReLU", reference="layers.py:twice").ok


BAD = {
    "another shape": (("--against=layers.py:Narrow",), "gives an output of shape"),
    "no such layer": (("--against=layers.py:None",), "layers.py has no 'None'"),
    "no such clause": (
        ("--waive=batch", "--reason=x"),
        "unknown clause 'batch': choose from empty",
    ),
    "no reason": (("--waive=empty-batch",), "give one --reason for each --waive"),
    "no seconds": (("--seconds=0",), "seconds is 0.0: give a positive number"),
    "no such argument": (("--hold=size=3",), "hold names 'size', which ReLU has not: it has none"),
    "no such tensor": (("--layout=weight=1,0",), "layout names 'weight', which ReLU has not"),
    "no such axes": (("--axes=9",), "axes is 9: inputs of ReLU have 1 or"),
    "no order": (("--layout=input=0,0",), "layout of 'input' is (0, 0): give the order"),
}


@pytest.mark.parametrize(("options", "says"), BAD.values(), ids=BAD)
def test_bad_options(
    options: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "layers.py:Doubled", "--like=ReLU", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("could not run: ")
    assert says in error
    assert error.count("\n") == 1


def test_waivers_are_shown() -> None:
    report = verification.check(
        "layers.py:Doubled",
        like="ReLU",
        against="layers.py:Doubled",
        properties=["empty_batch_gives_empty_results", PARITY[0]],
        dtypes=["float32"],
        examples=5,
        contract=True,
        waive={"empty-batch": "never called so"},
    )
    assert report.ok
    assert "waived: empty batch: never called so" in str(report)
    assert [pair.property for pair in report.summary.not_applicable] == [
        "empty_batch_gives_empty_results"
    ]
    assert report.to_dict()["waived"] == {"empty batch": "never called so"}


def test_a_budget_cuts_short_and_says_so() -> None:
    report = verification.check(
        "layers.py:Doubled",
        like="ReLU",
        against="layers.py:Doubled",
        properties=PARITY,
        dtypes=["float32"],
        examples=100_000,
        seconds=2,
    )
    assert report.ok
    assert "cut short: forward matches reference, float32: out of time, after " in str(report)
    assert report.summary.examples < 20_000


def test_text_becomes_plain_data() -> None:
    assert keywords("stride=2, mode='same', pair=(1, 2)") == {
        "stride": 2,
        "mode": "same",
        "pair": (1, 2),
    }
    assert name_and_axes("weight=2,3,1,0") == ("weight", (2, 3, 1, 0))
    assert name_and_attributes("weight=W:dW") == ("weight", ("W", "dW"))
    for text in ("2", "a=open('x')", "**a", "a="):
        with pytest.raises(Exception, match="write name=value"):
            keywords(text)


@pytest.mark.parametrize(
    ("like", "row"),
    [
        ("SGD", "SGD"),
        ("torch.optim.SGD", "TorchSGD"),
        (torch.optim.SGD, "TorchSGD"),
        ("torch.nn.Conv2d", "Conv2d"),
    ],
)
def test_torchs_own_name_means_torchs_own_rule(like, row):
    assert kind_named(like).name == row
