"""The examples: layers of other people's kinds, each with a seeded fault that is found, and that a
line repairs.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest

from verification import catalogue
from verification.cases import SubjectSpec
from verification.properties import PROPERTIES
from verification.running.campaign import hunt
from verification.running.judging import lenient
from verification.subjects.driving.told import Adapter
from verification.subjects.foreign import kind_named
from verification.subjects.resolve import foreign
from verification.trials.discrepancy import discrepancies

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Example:
    """A file and what it holds, the kind, what must be told, the line that repairs it, and which
    results the fault shows in.
    """

    file: str
    name: str
    like: str
    wrong: str
    right: str
    shows_in: Sequence[str]
    told: Adapter = field(default_factory=Adapter)


CASES = {
    "course": Example(
        "course_layer.py", "MyConv", "Conv2d", ".mean(0)", ".sum(0)", ["weight gradient"]
    ),
    "numpy": Example(
        "numpy_pair.py",
        "max_pool_forward,max_pool_backward",
        "MaxPool2d",
        "left + column] = dout",
        "left + column] += dout",
        ["input gradient"],
    ),
    "autograd.Function": Example(
        "autograd_function.py", "SmallSiLU", "SiLU", "(1 + (1", "(1 + x * (1", ["input gradient"]
    ),
    "custom operator": Example(
        "custom_operator.py",
        "rms_norm",
        "RMSNorm",
        "inverse = x.square().mean(-1, keepdim=True).rsqrt()",
        "inverse = (x.square().mean(-1, keepdim=True) + ctx.eps).rsqrt()",
        ["input gradient", "weight gradient"],
        Adapter(one_number=("normalized_shape",)),
    ),
    "fused module": Example(
        "fused_module.py",
        "FusedCrossEntropy",
        "CrossEntropyLoss",
        "count = torch.tensor(labels.numel())",
        "count = kept.sum()",
        ["output", "input gradient"],
    ),
}

CPP = Example(
    "cpp_operator.py",
    "LeakyReLU",
    "LeakyReLU",
    "result.numel() / 8 * 8",
    "result.numel()",
    ["input gradient"],
)


def wrong_results(path: Path, example: Example) -> set[str]:
    """The results that are wrong, in some sixty cases of each of three properties."""
    spec = SubjectSpec(
        f"{path}:{example.name}", kind_named(example.like).name, adapter=example.told.told
    )
    entry = lenient(foreign(spec)[0])
    settings = hypothesis.settings(
        max_examples=60, derandomize=True, database=None, phases=[hypothesis.Phase.generate]
    )
    found: set[str] = set()
    names = ("forward_matches_reference", "gradients_match_reference")
    with catalogue.added(entry):
        for name in (*names, "results_are_exact_on_integers"):
            try:
                hunt(entry, PROPERTIES[name], settings=settings)
            except Exception as error:
                failures = list(discrepancies(error))
                found |= {failure.finding.tensor for failure in failures} or {repr(error)}
    return found


def require_found_and_repaired(example: Example, folder: Path) -> None:
    path = EXAMPLES / example.file
    found = wrong_results(path, example)
    assert found
    assert found <= set(example.shows_in)
    source = path.read_text()
    assert source.count(example.wrong) == 1
    # Two custom operators of one name cannot live in one process.
    source = source.replace("verification_examples::", "verification_repaired::")
    repaired = folder / example.file
    repaired.write_text(source.replace(example.wrong, example.right))
    assert wrong_results(repaired, example) == set()


@pytest.mark.parametrize("example", CASES.values(), ids=CASES)
def test_the_fault_is_found_and_a_line_repairs_it(example: Example, tmp_path: Path) -> None:
    require_found_and_repaired(example, tmp_path)


@pytest.mark.slow  # the compiler takes half a minute
@pytest.mark.skipif(
    not (shutil.which("c++") and shutil.which("ninja")), reason="no C++ compiler or no ninja"
)
def test_the_fault_in_cpp_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "built"))
    require_found_and_repaired(CPP, tmp_path)
