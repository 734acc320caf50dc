"""A hostile layer ends its child process and nothing else; what it changed is put back."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

import verification
from scratch_layers import ReLU
from verification import catalogue
from verification.__main__ import main
from verification.cases import Case, LayerCall, Role, SubjectSpec, TensorSpec, Values
from verification.cases.case_file import read
from verification.meta.harness import broken, find_failures
from verification.properties import PROPERTIES
from verification.running.campaign import MOST_DEATHS, hunt
from verification.running.supervisor import Supervisor
from verification.subjects.foreign import foreign_entry
from verification.subjects.loading import SubjectError, load, why_not_importable
from verification.trials.discrepancy import Discrepancy, Finding
from verification.trials.guards import globals_restored
from verification.trials.outcome import (
    Died,
    NotExercised,
    Outcome,
    Passed,
    outcome_from_json,
    outcome_to_json,
)
from verification.trials.run_case import run_case

LAYERS = """
import ctypes, os, sys, time
import torch

class Right:
    def forward(self, x):
        self.x = x
        return x.clamp(min=0)

    def backward(self, grad_output):
        return grad_output * (self.x > 0)

def leave_it_changed():
    torch.set_default_dtype(torch.float16)
    torch.set_grad_enabled(False)
    torch.set_num_threads(7)
    torch.use_deterministic_algorithms(True)

def interrupt():
    raise KeyboardInterrupt

def loop():
    while True:
        pass

ACTS = {
    2: lambda: ctypes.string_at(0),
    3: os.abort,
    4: lambda: os._exit(7),
    5: loop,
    6: lambda: [torch.empty(2**24) for _ in range(10**6)],
    7: lambda: [bytearray(2**26) for _ in range(10**6)],
    8: leave_it_changed,
    9: lambda: print("x" * 2**22, file=sys.stderr) or print("x" * 2**22),
    10: lambda: sys.exit(0),
    11: interrupt,
}

class Hostile(Right):
    def forward(self, x):
        ACTS.get(x.shape[0], lambda: None)()
        return super().forward(x)

class DiesWhenAsked(Right):
    def forward(self, x):
        if x.dtype == torch.float64 and x.dim() == 2:
            os._exit(7)
        return super().forward(x)
"""

NAME = "layers.py:Hostile"
GRADIENTS = "gradients_match_reference"


def case_of(size: int, name: str = NAME) -> Case:
    """The case of a ReLU on so many numbers."""
    return Case(
        SubjectSpec(name, "ReLU"),
        LayerCall.of("ReLU"),
        (
            TensorSpec("input", Role.INPUT, (size,), Values("integers")),
            TensorSpec("output", Role.COTANGENT, None, Values("integers")),
        ),
        GRADIENTS,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "layers.py").write_text(LAYERS)
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def child(folder: Path) -> Iterator[Supervisor]:
    with Supervisor(SubjectSpec(NAME, "ReLU"), seconds=5, memory=2**28) as child:
        yield child


DEATHS = {
    "segmentation fault": (2, "killed by SIGSEGV"),
    "abort": (3, "killed by SIGABRT"),
    "exit": (4, "exit 7"),
    "endless loop": (5, "no answer within 5 s"),
}


@pytest.mark.parametrize(("size", "reason"), DEATHS.values(), ids=DEATHS)
def test_a_death_ends_one_case(child: Supervisor, size: int, reason: str) -> None:
    assert child.run(case_of(size)) == Died(reason)
    assert isinstance(child.run(case_of(1)), Passed)


ERRORS = {
    "memory of tensors": (6, "forward raises RuntimeError: ", "can't allocate memory"),
    "memory of objects": (7, "forward raises MemoryError", ""),
    "system exit": (10, "forward raises SystemExit: 0", ""),
    "keyboard interrupt": (11, "the layer raises KeyboardInterrupt", ""),
}


@pytest.mark.parametrize(("size", "begins", "says"), ERRORS.values(), ids=ERRORS)
def test_what_can_be_caught_is_a_failure(
    child: Supervisor, size: int, begins: str, says: str
) -> None:
    outcome = child.run(case_of(size))
    assert isinstance(outcome, Discrepancy)
    assert outcome.finding.sentence.startswith(begins)
    assert says in outcome.finding.sentence
    assert isinstance(child.run(case_of(1)), Passed)


def test_noise_is_dropped(child: Supervisor, capfd: pytest.CaptureFixture[str]) -> None:
    assert isinstance(child.run(case_of(9)), Passed)
    assert capfd.readouterr() == ("", "")


def test_changed_globals_change_no_verdict_and_are_put_back(child: Supervisor) -> None:
    assert isinstance(child.run(case_of(8)), Passed)
    here = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    with globals_restored():
        load("layers.py:leave_it_changed")()
        assert torch.get_default_dtype() is torch.float16
    assert here == (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    assert not torch.are_deterministic_algorithms_enabled()


class TurnsGradientsOff(ReLU):
    def forward(self, input):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float16)
        return super().forward(input)


def test_globals_are_put_back_in_this_process_too() -> None:
    assert find_failures(broken("ReLU", TurnsGradientsOff), GRADIENTS, examples=5) == []
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32


def test_the_run_goes_on_and_the_case_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "layers.py:DiesWhenAsked"
    report = verification.check(
        load(name),
        like="ReLU",
        name=name,
        properties=["forward_matches_reference"],
        dtypes=["float64", "float32"],
        examples=30,
    )
    dies, goes_on = report.summary.cells
    assert (dies.result, goes_on.result) == ("failed", "passed")
    (failure,) = dies.failures
    assert "the layer ended its process: exit 7; such a case is not shrunk" in failure.text
    assert failure.case is not None
    file = read(Path(failure.case))
    assert file.discrepancy is not None
    assert file.discrepancy["kind"] == "died"
    assert main(["replay", failure.case, "--allow-layer", name]) == 1
    assert "ended its process: exit 7" in capsys.readouterr().out


def campaign(*shapes_that_die: int) -> tuple[list[Case], Discrepancy | None]:
    """What a campaign runs, and raises, where inputs of so many axes take the process along."""
    seen: list[Case] = []

    def run(case: Case) -> Outcome:
        seen.append(case)
        axes = len(case.tensors[0].shape or ())
        return Died(f"exit {axes}") if axes in shapes_that_die else Passed()

    entry, prop = catalogue.find("scratch_layers.ReLU"), PROPERTIES["forward_matches_reference"]
    settings = hypothesis.settings(max_examples=100, derandomize=True, database=None)
    try:
        hunt(entry, prop, settings=settings, run=run)
    except Discrepancy as died:
        return seen, died
    return seen, None


def test_three_deaths_end_a_property() -> None:
    seen, died = campaign(4)
    assert isinstance(died, Discrepancy)
    assert sum(len(case.tensors[0].shape or ()) == 4 for case in seen) == MOST_DEATHS
    assert died.case in seen
    assert campaign()[1] is None


def test_what_cannot_be_loaded_is_no_verdict(folder: Path) -> None:
    with (
        Supervisor(SubjectSpec("layers.py:Nothing", "ReLU")) as child,
        pytest.raises(SubjectError, match=r"layers\.py has no 'Nothing'"),
    ):
        child.run(case_of(1, "layers.py:Nothing"))


AT_IMPORT = {
    "exit": ("import os; os._exit(3)", "cannot be imported in a process of its own: exit 3"),
    "crash": ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
    "error": ("1 / 0", "fails: ZeroDivisionError"),
    "system exit": ("raise SystemExit(0)", "fails: SystemExit: 0"),
}


@pytest.mark.parametrize(("code", "says"), AT_IMPORT.values(), ids=AT_IMPORT)
def test_an_import_takes_nothing_along(
    code: str, says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "imported.py").write_text(code)
    assert main(["check", "imported.py:Mine", "--like=ReLU"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("could not run: ")
    assert says in error
    assert error.count("\n") == 1


def test_an_import_without_end_is_waited_for_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "imported.py").write_text("while True: pass")
    started = []
    start = Supervisor._new_child
    monkeypatch.setattr(Supervisor, "_new_child", lambda child: started.append(1) or start(child))
    with (
        Supervisor(SubjectSpec("imported.py:Mine", "ReLU"), seconds=1) as child,
        pytest.raises(SubjectError, match="a process of its own: no answer within 1 s"),
    ):
        child.run(case_of(1))
    assert len(started) == 1


def test_what_an_import_changes_is_contained(folder: Path) -> None:
    changes = LAYERS.partition("def leave_it_changed():")[2].partition("def interrupt")[0]
    source = LAYERS + "".join(line.strip() + "\n" for line in changes.splitlines())
    (folder / "changing.py").write_text(source)
    report = verification.check(
        "changing.py:Right",
        like="ReLU",
        properties=["forward_matches_reference"],
        dtypes=["float64"],
        examples=5,
    )
    assert report.ok, str(report)
    assert torch.get_default_dtype() is torch.float32


def test_a_child_is_ended_with_its_supervisor(folder: Path) -> None:
    with Supervisor(SubjectSpec(NAME, "ReLU")) as child:
        child.run(case_of(1))
        assert child._process is not None
        process = child._process
    assert process.returncode is not None


def test_what_no_child_can_find() -> None:
    class Local(ReLU):
        pass

    assert why_not_importable(TurnsGradientsOff, "here:TurnsGradientsOff") == ""
    assert why_not_importable(Local, "x:Local") == "x:Local cannot be imported by its name"
    assert why_not_importable(lambda: None, "x:y") == "x:y cannot be imported by its name"
    in_a_script = type("InAScript", (), {"__module__": "__main__"})
    assert "defined in the script that runs" in why_not_importable(in_a_script, "s.py:InAScript")
    report = verification.check(
        Local, like="ReLU", properties=["forward_matches_reference"], examples=1
    )
    assert report.ok
    assert "unsupervised, in this process: " in str(report)
    assert report.to_dict()["unsupervised"].endswith("cannot be imported by its name")


@pytest.mark.parametrize(
    "outcome",
    [
        Passed((("entries compared", 3),)),
        NotExercised("nothing here"),
        Died("exit 7"),
        Discrepancy.of("p", Finding("value", "output", "wrong", (0, 1), float("inf")), case_of(1)),
    ],
)
def test_outcomes_survive_as_json(outcome: Outcome) -> None:
    back = outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome))), case_of(1))
    if isinstance(outcome, Discrepancy):
        assert isinstance(back, Discrepancy)
        assert (back.finding, back.case) == (outcome.finding, outcome.case)
        assert type(back) is not Discrepancy
    else:
        assert back == outcome


def test_a_case_ends_alike_here_and_in_a_child(child: Supervisor) -> None:
    entry, _ = foreign_entry(load(NAME), child.entry.spec)
    with catalogue.added(entry):
        assert run_case(case_of(1)) == child.run(case_of(1))
