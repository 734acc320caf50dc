"""What a formula leaves open is asked apart from what it says: a mean of nothing, equal maxima."""

import pytest
import torch
import torch.nn.functional as F

from verification import check
from verification.cases import Role
from verification.cases.case_file import read
from verification.meta.harness import first_failure
from verification.meta.wrong_twins.functions import NOTHING, ZeroForNothing
from verification.references.row import Clause
from verification.references.torch_nn import REFERENCES

PARITY = ("forward_matches_reference", "gradients_match_reference")


class Attention(torch.nn.Module):
    """By the formula of the papers: NaN for a query that may look at nothing."""

    def __init__(self):
        super().__init__()

    def forward(self, query, key, value, mask=None):
        scores = query @ key.mT / query.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1) @ value


class Shared:
    """Max pooling over windows that do not overlap; equal maxima share the gradient."""

    def __init__(self, kernel_size):
        self.size = kernel_size

    def forward(self, x):
        self.x = x
        self.windows = x.unfold(-1, self.size, self.size)
        return self.windows.amax(-1)

    def backward(self, g):
        top = (self.windows == self.windows.amax(-1, keepdim=True)).to(g.dtype)
        inside = (g[..., None] * top / top.sum(-1, keepdim=True)).flatten(-2)
        return F.pad(inside, self.beside(self.x.shape[-1] - inside.shape[-1]))

    def beside(self, left):
        return 0, left


class SharedWrong(Shared):
    """Counts the pixels that are left over as the first."""

    def beside(self, left):
        return left, 0


@pytest.mark.parametrize(
    "name", [n for n, e in REFERENCES.items() if Clause.MEANS_OF_NOTHING in e.have]
)
def test_torchs_own_layers_pass(name):
    assert first_failure(REFERENCES[name], NOTHING, examples=50) is None


@pytest.mark.parametrize(
    ("layer", "kind"),
    [(Attention, "ScaledDotProductAttention"), (ZeroForNothing, "NLLLoss")],
)
def test_another_mean_of_nothing_is_shown_beside_the_verdict(layer, kind):
    asked = {"properties": [*PARITY, NOTHING], "dtypes": ["float64"], "examples": 60}
    report = check(layer, like=kind, supervised=False, **asked)
    assert report.ok
    assert "means of nothing are torchs: output wrong" in str(report)


@pytest.mark.parametrize("layer", [Shared, SharedWrong])
@pytest.mark.parametrize("waived", [True, False])
def test_a_layer_that_shares_a_gradient_among_equals_can_say_so(layer, waived, tmp_path):
    report = check(
        layer,
        like="MaxPool1d",
        waive={"equal-maxima": "they share it"} if waived else {},
        properties=[*PARITY, "results_are_exact_on_integers"],
        dtypes=["float64"],
        examples=100,
        supervised=False,
        cases=tmp_path,
    )
    assert report.ok == (waived and layer is Shared)
    for path in tmp_path.iterdir() if waived else ():
        image = read(path).case.of_role(Role.INPUT)[0].values.stored
        assert image is None or len(set(image)) == len(image)
