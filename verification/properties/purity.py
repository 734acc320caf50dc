"""Purity: a layer by hand computes with plain tensor arithmetic, and leaves autograd alone."""

import torch

from gradcheck.subjects import differentiable
from verification.properties.registry import Decides, Family, property_of
from verification.references.row import Clause
from verification.strategies.cases import ordinary
from verification.strategies.geometry import SMALL
from verification.subjects.entry import TRUTH
from verification.trials.audit import Audit, GraphAudit
from verification.trials.trial import Trial

CASES = ordinary(limits=SMALL)


@property_of(
    Family.PURITY,
    needs={TRUTH, Clause.PURITY},
    cases=CASES,
    decides=Decides.CONTRACT,
)
def check_only_plain_arithmetic(trial: Trial) -> None:
    """What reaches the dispatcher is arithmetic, views and unfold: no kernel of a network's layer,
    and nothing that the host must wait for.
    """
    given, subject = (trial.inputs, trial.parameters, trial.cotangents), trial.subject
    with Audit() as audit:
        trial.results(*given, subject=subject)
    trial.require(
        not audit.kernels,
        "network kernel",
        "",
        f"the dispatcher sees {', '.join(audit.kernels)}; a layer by hand computes with "
        "arithmetic, matrix products, views, indexing, unfold and fold",
    )
    trial.require(
        not audit.waiting,
        "host waits",
        "",
        f"the host waits for {', '.join(audit.waiting)}; a layer must not read elements in Python",
    )


@property_of(
    Family.PURITY,
    needs={TRUTH, Clause.PURITY},
    cases=CASES,
    decides=Decides.CONTRACT,
)
def check_works_without_autograd(trial: Trial) -> None:
    """Inference mode changes nothing: the derivative is the layer's own."""
    # Built before: a tensor made in inference mode takes no other's data.
    truths, subject = trial.true_results, trial.subject
    with torch.inference_mode():
        got = trial.results(subject=subject)
    trial.require_results(got, truths)


@property_of(
    Family.PURITY,
    needs={TRUTH, Clause.PURITY},
    cases=CASES,
    decides=Decides.CONTRACT,
)
def check_no_graph_is_recorded(trial: Trial) -> None:
    """Tensors that require gradients are taken as numbers: no operation records a graph of them."""
    given = [
        {n: t.detach().requires_grad_(differentiable(t)) for n, t in tensors.items()}
        for tensors in (trial.inputs, trial.parameters, trial.cotangents)
    ]
    subject = trial.subject
    with GraphAudit() as audit:
        trial.results(*given, subject=subject)
    trial.require(
        not audit.recorded,
        "graph",
        "",
        f"autograd records a graph of {', '.join(audit.recorded)}; a layer by hand detaches its "
        "tensors first",
    )
