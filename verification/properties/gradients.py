"""Gradients: backward against finite differences of the subject's own forward, entry by entry.

The one family that knows nothing of the value of the map: the law lends the rounding errors of
forward and backward, so that every verdict's bound is derived.
"""

import functools
from collections.abc import Mapping
from typing import NoReturn

from torch import Tensor

from gradcheck import GradientReport, check_gradients
from verification.properties.registry import Family, property_of
from verification.references.row import Trait
from verification.strategies.cases import ordinary
from verification.subjects.described.constrained import Constrained
from verification.subjects.entry import TRUTH
from verification.subjects.hosted import Hosted, on_host
from verification.trials.trial import Trial


@property_of(
    Family.GRADIENTS,
    needs={TRUTH, Trait.DIFFERENTIABLE},
    cases=ordinary(layouts=("contiguous",), empty_batch=False),
)
def check_gradients_match_finite_differences(trial: Trial) -> None:
    """Every gradient is the derivative of forward, within the bounds of a finite difference; those
    of inputs that a layer may take for given are left to parity.
    """
    subject = Constrained.by(trial.subject, trial.case.tensors)

    def evaluation_error(
        inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        enclosed = trial.enclose_outputs(subject.members(inputs), subject.members(parameters))
        return {name: enclosure.error for name, enclosure in enclosed.items()}

    if not all(bool(e.value.isfinite().all()) for e in trial.true_outputs.values()):
        trial.unjudged("no finite output")
    given = trial.entry.row.constants
    truths = {name: t for name, t in trial.truth.gradients.items() if name not in given}
    judge = functools.partial(
        check_gradients,
        Hosted(subject, trial.device),
        inputs=on_host(trial.inputs),
        parameters=on_host(trial.parameters),
        cotangents=on_host(trial.cotangents),
        evaluation_error=evaluation_error,
        analytic_error={name: truth.error for name, truth in truths.items()},
        wrt=list(truths),
    )
    report = trial.attempt("forward or backward raises", judge)
    trial.count("entries compared", report.comparisons)
    trial.count("entries undecided", report.undecided)
    trial.require(not report.complaints, "complaint", "", str(report))
    if report.mismatches:
        fail_with(trial, report)


def fail_with(trial: Trial, report: GradientReport, more: str = "") -> NoReturn:
    """Raise the discrepancy of a report's worst entry."""
    worst = report.mismatches[0]
    trial.fail(
        "value",
        f"{worst.tensor} gradient",
        "; ".join(part for part in (str(report), more) if part),
        entry=worst.entry,
        got=worst.got,
        expected=worst.expected,
        bound=worst.bound,
        wrong=len(report.mismatches),
        total=report.comparisons,
    )
