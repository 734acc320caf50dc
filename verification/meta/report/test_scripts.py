"""A case as a script of its own: it shows what the replay shows, and runs nothing else."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from verification import catalogue
from verification.__main__ import main
from verification.cases import SAME, Case, LayerCall, Role, SubjectSpec, TensorSpec, Values
from verification.cases.case_file import CaseFile, CaseFileError
from verification.report.scripts.script import script

ROOT = Path(__file__).parents[3]

CONV = LayerCall.of(
    "Conv2d",
    in_channels=1,
    out_channels=1,
    kernel_size=(1, 2),
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    bias=False,
)

PAIR = Case(
    SubjectSpec("scratch_layers.Sequential"),
    LayerCall.of("Sequential", CONV, LayerCall.of("ReLU")),
    (
        TensorSpec("input", Role.INPUT, (1, 1, 2, 2), Values("integers"), "channels_last"),
        TensorSpec("0.weight", Role.PARAMETER, (1, 1, 1, 2), Values(stored=(1.0, -2.0))),
        TensorSpec("output", Role.COTANGENT, None, Values("integers"), "strided"),
    ),
    "gradients_match_reference",
    "float64",
)

LOSS = Case(
    SubjectSpec("scratch_layers.MSELoss"),
    LayerCall.of("MSELoss", reduction="sum"),
    (
        TensorSpec("input", Role.INPUT, (2,), Values(stored=(1.0, 2.0))),
        TensorSpec("target", Role.INPUT, (2,), Values(stored=(0.0, 0.0))),
        TensorSpec("output", Role.COTANGENT, None, Values(stored=(3.0,))),
    ),
    "gradients_match_reference",
)

MINE = """
import torch

class Mine:
    def __init__(self, in_channels, out_channels, kernel_size):
        self.w = torch.zeros(out_channels, in_channels, *kernel_size)
        self.gw = torch.zeros_like(self.w)

    def param(self):
        return [(self.w, self.gw)]

    def forward(self, x):
        self.x = x
        return x[..., :1] * self.w[0, 0, 0, 0] + x[..., 1:] * self.w[0, 0, 0, 1]

    def backward(self, grad_output):
        self.gw += 1
        return grad_output * self.w
"""


FOUND = (
    ("sources", tuple((n, (n, None)) for n in ("in_channels", "out_channels", "kernel_size"))),
    ("names", ("weight",)),
    ("forward", "forward"),
    ("given", "inputs"),
    ("backward", "backward"),
    ("order", ("cotangent",)),
    ("gave", "gradient"),
    ("gives", ("input",)),
    ("places", (("weight", "layer.param()[0][0]", "layer.param()[0][1]"),)),
)


def of_mine(entry: tuple[int, ...] = (0, 0, 0, 1)) -> CaseFile:
    case = Case(
        SubjectSpec("mine.py:Mine", "Conv2d", found=FOUND),
        CONV,
        (
            TensorSpec("input", Role.INPUT, (1, 1, 1, 2), Values(stored=(1.0, 0.0))),
            TensorSpec("weight", Role.PARAMETER, (1, 1, 1, 2), Values(stored=(1.0, 2.0))),
            TensorSpec("output", Role.COTANGENT, None, Values(stored=(1.0,))),
        ),
        "gradients_match_reference",
    )
    found = {
        "kind": "value",
        "tensor": "weight gradient",
        "sentence": 'it says """ and \\',
        "entry": entry,
        "got": 1.0,
        "expected": 0.0,
        "bound": 0.0,
    }
    return CaseFile(case, found)


SOFTSIGN = """
def softsign(x, y, power=1):
    return x / (1 + x.detach().abs()) ** power, y
"""


def of_softsign() -> CaseFile:
    """Its gradient is wrong wherever x is not 0, and there beside it."""
    case = Case(
        SubjectSpec(
            "softsign.py:softsign",
            inputs=(("x", "n"), ("y", "n")),
            found=(("outputs", ("output_0", "output_1")),),
        ),
        LayerCall.of("softsign", power=1),
        (
            TensorSpec("x", Role.INPUT, (2,), Values(stored=(0.0, 0.0))),
            TensorSpec("y", Role.INPUT, (2,), Values(stored=(1.0, 2.0))),
            TensorSpec("output_0", Role.COTANGENT, None, Values(stored=(0.0, 1.0))),
            TensorSpec("output_1", Role.COTANGENT, None, Values(stored=(0.0, 0.0))),
        ),
        "gradients_are_derivatives_of_forward",
        "float64",
    )
    found = {
        "kind": "value",
        "tensor": "x gradient",
        "sentence": "x gradient of softsign wrong at [1]: ..., at a point close by",
        "entry": (1,),
        "got": 0.9846,
        "expected": 0.9695,
        "bound": 1e-12,
    }
    return CaseFile(case, found)


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_shows_the_failure_until_it_is_gone(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    wrong = run(script(of_mine()), tmp_path)
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert wrong.stdout.endswith("got 1.0, expected 0.0, bound 0.0\n")
    assert "input gradient\ntensor([[[[1., 2.]]]])" in wrong.stdout
    (tmp_path / "mine.py").write_text(MINE.replace("+= 1", "+= grad_output * self.x"))
    assert run(script(of_mine()), tmp_path).returncode == 0


def test_a_function_shows_its_slopes_until_they_agree(tmp_path: Path) -> None:
    (tmp_path / "softsign.py").write_text(SOFTSIGN)
    wrong = run(script(of_softsign()), tmp_path)
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert wrong.stdout.splitlines()[-1].startswith("got 0.9846153846")
    (tmp_path / "softsign.py").write_text(SOFTSIGN.replace(".detach()", ""))
    assert run(script(of_softsign()), tmp_path).returncode == 0


STEP = Case(
    SubjectSpec("scratch_layers.SGD"),
    LayerCall.of("SGD", lr=(0.5, 0.25), momentum=0.0),
    tuple(
        TensorSpec(name, Role.INPUT, (1,), Values(stored=(1.0,))) for name in ("w0", "g0.0", "g0.1")
    ),
    "forward_matches_reference",
)


TWICE = LayerCall.of("Sequential", LayerCall.of("ReLU"), LayerCall.of(SAME, place=0))


def test_a_layer_that_comes_again_is_the_same(tmp_path: Path) -> None:
    done = run(script(CaseFile(replace(PAIR, layer=TWICE, tensors=()))), tmp_path)
    assert "ValueError: modules[1]" in done.stderr


@pytest.mark.parametrize("place", [1, -1, 0.5, (0,), None])
def test_a_layer_that_comes_again_comes_after_itself(place: object) -> None:
    wrong = LayerCall.of("Sequential", LayerCall.of("ReLU"), LayerCall.of(SAME, place=place))
    with pytest.raises(CaseFileError, match="a layer before it, of which there are 1"):
        script(CaseFile(replace(PAIR, layer=wrong, tensors=())))


@pytest.mark.parametrize(
    ("case", "prints"),
    [
        (LOSS, "output\ntensor(5.)\ninput gradient\ntensor([ 6., 12.])"),
        (PAIR, "0.weight gradient\ntensor([[[["),
        (STEP, "w0\ntensor([0.2500])"),
    ],
)
def test_it_makes_the_same_call(case: Case, prints: str, tmp_path: Path) -> None:
    done = run(script(CaseFile(case)), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert prints in done.stdout


def test_layouts_and_all_kinds_are_written() -> None:
    compile(script(CaseFile(PAIR)), "script", "exec")
    assert ".as_strided((1, 1, 2, 1), " in script(CaseFile(PAIR))
    assert "strided" not in script(CaseFile(LOSS))


BAD = {
    "tensor": replace(
        LOSS, tensors=(replace(LOSS.tensors[0], name="x = exit(3) or x"), *LOSS.tensors[1:])
    ),
    "argument": replace(LOSS, layer=LayerCall.of("MSELoss", **{"a=exit(3), b": 1})),
    "module": replace(LOSS, subject=SubjectSpec("os; exit(3):x", "MSELoss")),
    "qualname": replace(LOSS, subject=SubjectSpec("x.py:a'] or exit(3)", "MSELoss")),
    "keyword": replace(LOSS, subject=SubjectSpec("x.import:a", "MSELoss")),
    "own argument": replace(
        LOSS,
        subject=SubjectSpec(
            "x:a", "MSELoss", found=(("sources", (("a=exit(3), b", ("eps", None)),)),)
        ),
    ),
    "backward": replace(
        LOSS, subject=SubjectSpec("x:a", "MSELoss", adapter=(("backward", "x) or exit(3"),))
    ),
    "forward": replace(
        LOSS, subject=SubjectSpec("x:a", "MSELoss", found=(("forward", "x() or exit"),))
    ),
    "what it gives": replace(
        LOSS, subject=SubjectSpec("x:a", "MSELoss", found=(("gives", ("a'] = exit(3) #",)),))
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_name_that_is_code_is_refused(case: Case) -> None:
    with pytest.raises(CaseFileError, match="no name that can stand in a script"):
        script(CaseFile(case))


@pytest.mark.parametrize(
    "code",
    [
        "exit(3)",
        "layer.w or exit(3)",
        "layer.step(3)",
        "layer.w.clear()",
        "layer.__class__",
        "layer.w[exit(3)]",
        "[*layer.w",
    ],
)
def test_a_place_that_does_more_is_refused(code: str) -> None:
    found = tuple((n, v) for n, v in FOUND if n != "places")
    places = (("weight", "layer.param()[0][0]", code),)
    subject = SubjectSpec("mine.py:Mine", "Conv2d", found=(*found, ("places", places)))
    with pytest.raises(CaseFileError, match="no place in a layer"):
        script(CaseFile(replace(of_mine().case, subject=subject)))


def test_what_one_call_cannot_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = replace(LOSS, options=(("error", "ValueError"),), property="declared_refusals")
    path = CaseFile(refused).write(tmp_path)
    assert main(["script", str(path)]) == 2
    assert f"{path}: one call of a layer cannot show declared_refusals" in capsys.readouterr().err
    assert main(["script", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("none") == 1
    earlier = CaseFile(replace(LOSS, subject=SubjectSpec("mine:Mine", "MSELoss")))
    with pytest.raises(CaseFileError, match="does not say how its layer is built"):
        script(earlier)
    foreign = CaseFile(replace(LOSS, subject=SubjectSpec("torch.nn.MSELoss")))
    with pytest.raises(CaseFileError, match="no layer that a script could import"):
        script(foreign)
    assert "torch.nn.MSELoss" not in catalogue.SHIPPED


def test_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("bias gradient wrong at [0]: got") == 2
    (case,) = Path("reports/demo").glob("*.case.json")
    assert f"{case}: fails" in shown
    assert {path.name for path in Path("reports/demo").iterdir()} >= {"convolution.py", case.name}
