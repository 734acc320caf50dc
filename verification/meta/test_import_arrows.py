"""Who imports whom, as the design draws it: the judge and the judged know nothing of each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("scratch_layers", "gradcheck", "verification", "noise2noise", "examples")

MAY_IMPORT = {
    "scratch_layers": set(),
    "gradcheck": set(),
    "verification": {"scratch_layers", "gradcheck"},
    "noise2noise": {"scratch_layers"},
    "examples": {"scratch_layers"},
}
"""The rooms that each room may import beside itself."""

FROM_NUMBERS_TO_VERDICTS = ("subjects", "differences", "reporting", "verdicts", "check")
"""What stands inside gradcheck: each imports none that comes after it."""

AUTOGRAD = ("torch.nn", "torch.autograd", "torch.func", "torch.optim")
"""What computes layers or derivatives by itself."""

MAY_COMPUTE = {
    "verification/references/": "the reference side",
    "verification/meta/": "tests drive broken layers of every kind",
    "verification/subjects/": "drives a subject's own autograd",
    "examples/": "layers of other people's kinds",
    "noise2noise/twin.py": "the reference side of the application",
    "gradcheck/subjects/": "drives a subject's own autograd",
}
"""Where torch's own layers and derivatives may be used, and why."""


def sources(room):
    """Every source file of a room but its tests."""
    return [p for p in sorted((ROOT / room).rglob("*.py")) if "tests" not in p.parts]


def imported(source):
    """The full names of every module that a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrow"
            # `from torch import nn` imports torch.nn.
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, modules):
    """Whether a module is one of these, or inside one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def wrong_rooms(room, source):
    """The imports of a source that its room may not have."""
    others = set(ROOMS) - MAY_IMPORT[room] - {room}
    return [name for name in imported(source) if within(name, others)]


def against_the_order(path, source):
    """The imports of a file inside gradcheck from a package that comes after its own."""
    package = path.parts[1]
    later = FROM_NUMBERS_TO_VERDICTS[FROM_NUMBERS_TO_VERDICTS.index(package) + 1 :]
    return [n for n in imported(source) if within(n, [f"gradcheck.{p}" for p in later])]


def wrong_computing(path, source):
    """The imports of torch's layers and derivatives that a file may not have."""
    if path.startswith(tuple(MAY_COMPUTE)):
        return []
    return [name for name in imported(source) if within(name, AUTOGRAD)]


FILES = [(room, path) for room in ROOMS for path in sources(room)]


@pytest.mark.parametrize(("room", "path"), FILES, ids=[str(p.relative_to(ROOT)) for _, p in FILES])
def test_the_arrows_hold(room, path):
    source = path.read_text()
    assert wrong_rooms(room, source) == []
    assert wrong_computing(str(path.relative_to(ROOT)), source) == []


@pytest.mark.parametrize("package", FROM_NUMBERS_TO_VERDICTS[:-1])
def test_gradchecks_packages_stand_in_order(package):
    for path in sources(f"gradcheck/{package}"):
        assert against_the_order(path.relative_to(ROOT), path.read_text()) == []


def test_a_package_out_of_order_is_seen():
    source = "from gradcheck.verdicts.points import Point"
    assert against_the_order(Path("gradcheck/differences/lines.py"), source)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("scratch_layers", "import gradcheck"),
        ("gradcheck", "from scratch_layers import Conv2d"),
        ("noise2noise", "from verification.cases import Case"),
        ("scratch_layers", "import verification.catalogue"),
    ],
)
def test_a_wrong_arrow_is_seen(room, source):
    assert wrong_rooms(room, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("scratch_layers/convolution.py", "from torch import nn"),
        ("scratch_layers/correlation.py", "import torch.nn"),
        ("gradcheck/check.py", "from torch.autograd import grad"),
        ("verification/properties/parity.py", "import torch.nn.functional as F"),
    ],
)
def test_wrong_computing_is_seen(path, source):
    assert wrong_computing(path, source)


def test_torchs_compiler_is_not_imported():
    # It takes longer than torch and the suite together, in every child process again.
    code = "import sys, verification.running.checking; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]
