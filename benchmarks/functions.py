"""The bank of functions before three tools: the suite, torch's gradcheck, one finite difference.

python -m benchmarks functions --json FILE

A tool finds a wrong function that it calls wrong, and raises a false alarm at a right one. torch's
gradcheck and gradgradcheck, and the finite difference with a cotangent of ones, get one call at
sizes that differ, float64, ordinary numbers of the inputs' domains. Seconds are those of the
processor, on one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError

from benchmarks.timing import machine
from verification.cases import LayerCall
from verification.meta.functions import BANK, Judged
from verification.running.functions import Said
from verification.subjects.described.by_description import description_of, tensors_of
from verification.subjects.described.calling import callee_of

STEP, RELATIVE, ABSOLUTE = 1e-6, 1e-3, 1e-5
"""Of the finite difference: torch.autograd.gradcheck's own defaults."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m benchmarks functions`."""
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--examples", type=int, default=25, help="of the suite, each property")
    parser.add_argument("--only", default="", help="functions whose name contains this")


def run(options: argparse.Namespace) -> int:
    """Ask all three of every function, print the table; 1 if the suite is wrong about one."""
    torch.set_num_threads(1)
    bank = [judged for judged in BANK if options.only in judged.name]
    tools: dict[str, Callable[[Judged], str]] = {
        "this suite": lambda judged: _suite(judged, options.examples),
        "gradcheck, gradgradcheck": _gradcheck,
        "finite difference, ones": _all_ones,
    }
    rows, verdicts = [], []
    for tool, ask in tools.items():
        asked = [_asked(tool, ask, judged) for judged in bank]
        verdicts += asked
        rows.append(_row(tool, asked))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    figures = {
        "machine": machine(),
        "command": f"python -m benchmarks {' '.join(sys.argv[1:])}",
        "table": rows,
        "verdicts": verdicts,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return int(rows[0]["missed"] + rows[0]["false alarms"] > 0)


def _asked(tool: str, ask: Callable[[Judged], str], judged: Judged) -> dict[str, Any]:
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = ask(judged)
    seconds = time.process_time() - started
    return {
        "tool": tool,
        "function": judged.name,
        "right": judged.right,
        "says": said,
        "seconds": seconds,
    }


def _row(tool: str, asked: list[dict[str, Any]]) -> dict[str, Any]:
    wrong = [one for one in asked if not one["right"]]
    right = [one for one in asked if one["right"]]
    return {
        "tool": tool,
        "found": sum(one["says"] == "wrong" for one in wrong),
        "missed": sum(one["says"] != "wrong" for one in wrong),
        "false alarms": sum(one["says"] == "wrong" for one in right),
        "could not run": sum(one["says"] == "could not run" for one in asked),
        "seconds": round(sum(one["seconds"] for one in asked), 1),
    }


def _suite(judged: Judged, examples: int) -> str:
    return "right" if next(judged.failures(examples), None) is None else "wrong"


def _example(judged: Judged) -> tuple[Callable[..., Any], dict[str, Tensor]]:
    """The function of its tensors, at the first settings, and tensors of differing sizes."""
    description = description_of(Said(**judged.description).spec(judged.function, None))
    geometry = description.examples(LayerCall.of("f"), 1)[0]
    constant = judged.description.get("constant", ())
    ready = callee_of(judged.function).ready(geometry.layer.kwargs, torch.float64)
    tensors = {
        name: tensor.clone().requires_grad_(tensor.is_floating_point() and name not in constant)
        for name, tensor in (tensors_of(geometry, torch.float64) | ready.parameters).items()
    }

    def called(*values: Tensor) -> Any:
        return ready.call(dict(zip(tensors, values, strict=True)))

    return called, tensors


def _gradcheck(judged: Judged) -> str:
    function, tensors = _example(judged)
    try:
        torch.autograd.gradcheck(function, tuple(tensors.values()))
        torch.autograd.gradgradcheck(function, tuple(tensors.values()))
    except GradcheckError:
        return "wrong"
    except Exception:
        return "could not run"
    return "right"


def _all_ones(judged: Judged) -> str:
    function, tensors = _example(judged)

    def summed() -> Tensor:
        result = function(*tensors.values())
        outputs = result if isinstance(result, tuple) else (result,)
        return sum(output.sum() for output in outputs if output.requires_grad)

    try:
        moving = [tensor for tensor in tensors.values() if tensor.requires_grad]
        gradients = torch.autograd.grad(summed(), moving, allow_unused=True)
        for tensor, gradient in zip(moving, gradients, strict=True):
            numerical = _numerical(summed, tensor)
            got = torch.zeros_like(tensor) if gradient is None else gradient
            if not torch.allclose(got, numerical, rtol=RELATIVE, atol=ABSOLUTE):
                return "wrong"
    except Exception:
        return "could not run"
    return "right"


def _numerical(summed: Callable[[], Tensor], tensor: Tensor) -> Tensor:
    """Central differences, entry by entry."""
    slopes = torch.zeros_like(tensor)
    flat = tensor.data.view(-1)
    for place in range(flat.numel()):
        kept = flat[place].item()
        sides = []
        for side in (1, -1):
            flat[place] = kept + side * STEP
            sides.append(summed().item())
        flat[place] = kept
        slopes.view(-1)[place] = (sides[0] - sides[1]) / (2 * STEP)
    return slopes
