"""The matrix product, by the faster of the two libraries that torch is built with.

torch.mm and torch.bmm of float32 on a CPU call MKL, which takes slower paths on processors of other
makers: on an AMD EPYC with AVX512 one thread does 92 GFLOP/s in 16 x 144 x 1,024 and 113 in
64 x 576 x 1,024, where oneDNN does 134 and 252. torch reaches oneDNN's product by no public name
but through an operator that it uses itself, x W^T + b with an optional activation; here it is asked
for x W^T alone. The operator is private: where it is missing, has another schema or is switched
off, where the product is small, and for everything but float32 on a CPU, torch.bmm computes the
same sums.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SCHEMA = "(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? algorithm) -> Tensor Y"
WORTH_A_CALL = 1 << 22
"""A call costs 10 us more than torch.bmm, and twice that among other work: the training step of
four samples, with products of 0.4 to 2.6 million, takes 0.97 of torch's time at 3 << 19 and 0.87
here, five versions in turns."""

_overloads = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
_operator: Callable[..., Tensor] = getattr(_overloads, "default", torch.bmm)
_available = str(getattr(_operator, "_schema", "")).endswith(SCHEMA)


def product(left: Tensor, right: Tensor) -> Tensor:
    """The product of left (G, M, K) and right (G, K, P) for each group: (G, M, P).

    No gradient is recorded.
    """
    groups, _, columns = right.shape
    worth = left.numel() * columns > WORTH_A_CALL * groups
    suited = left.dtype == torch.float32 and left.device.type == "cpu"
    if not (worth and suited and _available and torch.backends.mkldnn.enabled):
        return torch.bmm(left, right)
    if groups == 1:
        return _by_onednn(left, right[0])
    pairs = zip(left.unsqueeze(1), right, strict=True)
    return torch.cat([_by_onednn(a, b) for a, b in pairs])


def _by_onednn(left: Tensor, right: Tensor) -> Tensor:
    """The product of left (1, M, K) and right (K, P): (1, M, P).

    A transpose that is dense becomes the operator's first factor, which runs at 183 GFLOP/s instead
    of 150 for the weight gradient of 16 channels. A factor with gaps between its rows is copied: it
    would take a thousand times as long.
    """
    if right.t().is_contiguous():
        return _operator(right.t()[None], left[0].contiguous(), None, "none", [], "").mT
    return _operator(left.contiguous(), right.contiguous().t(), None, "none", [], "")
