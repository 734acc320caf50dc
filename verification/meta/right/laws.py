"""The laws of the right convolutions that multiply elsewhere: the true values of the row, and the
error of their own algorithm beside that of a sum of products.

Where they transform, an error is no multiple of Σ|w||x| at the same position, which every algorithm
that sums the products themselves keeps to.
"""

import math
from dataclasses import replace

import torch

from verification.meta.right.transforms import A, B, ByFourier, ByWinograd, G, period
from verification.references.laws.law import OUTPUT, Law
from verification.strategies.geometry import per_axis


class OtherRoad:
    """The row's law with a further error for some of the results, by name."""

    def __init__(self, law: Law) -> None:
        self.law = law

    def degree(self, call):
        return self.law.degree(call)

    def forward(self, call, tensors, precision):
        truth = self.law.forward(call, tensors, precision)
        values = {name: enclosure.value for name, enclosure in tensors.items()}
        return truth | self._with(truth, self.forward_errors(call.kwargs, values, precision))

    def backward(self, call, tensors, cotangents, precision):
        truth = self.law.backward(call, tensors, cotangents, precision)
        values = {name: enclosure.value for name, enclosure in tensors.items()}
        dy = cotangents[OUTPUT].value
        return truth | self._with(truth, self.backward_errors(call.kwargs, values, dy, precision))

    def _with(self, truth, errors):
        return {
            name: replace(truth[name], error=truth[name].error + error, exact=False)
            for name, error in errors.items()
        }


class Spectral(OtherRoad):
    """Three transforms and a product of spectra.

    A transform of n = 2^t numbers errs by at most t η in the 2-norm, relatively, with
    η = u + γ_4 (sqrt(2) + u) < 7 u (N. Higham, Accuracy and Stability of Numerical Algorithms,
    2nd ed., theorem 24.2). An error E of the spectrum of x reaches a position as at most
    ||E|| ||w|| (Cauchy and Schwarz), and the last transform's errs by its share of
    ||y|| <= ||x|| ||w||_1 (Young). The 1-norm is no smaller than the 2-norm, so that it bounds
    both.
    """

    def forward_errors(self, arguments, values, precision):
        x, w = values["input"], values["weight"]
        reach = _by_group(_length(x), arguments).transpose(0, 1)  # groups, samples, channels
        sums = w.abs().sum((2, 3)).unflatten(0, (arguments["groups"], -1))
        found = torch.einsum("gnc,goc->ngo", reach, sums).flatten(1)[..., None, None]
        return {OUTPUT: found * precision.gamma(_roundings(x, w.shape[1], arguments))}

    def backward_errors(self, arguments, values, dy, precision):
        x, w = values["input"], values["weight"]
        groups = arguments["groups"]
        lengths = [_by_group(_length(t), arguments).transpose(0, 1) for t in (x, dy)]
        sums = [_by_group(t.abs().sum((2, 3)), arguments).transpose(0, 1) for t in (x, dy)]
        taps = w.abs().sum((2, 3)).unflatten(0, (groups, -1))
        dx = torch.einsum("gno,goc->ngc", lengths[1], taps).flatten(1)[..., None, None]
        one = torch.einsum("gnc,gno->goc", lengths[0], sums[1])
        other = torch.einsum("gnc,gno->goc", sums[0], lengths[1])
        dw = torch.minimum(one, other).flatten(0, 1)[..., None, None]
        return {
            "input": dx * precision.gamma(_roundings(x, taps.shape[1], arguments)),
            "weight": dw * precision.gamma(_roundings(x, len(x), arguments)),
        }


def _length(tensor):
    return tensor.square().sum((2, 3)).sqrt()


def _by_group(per_channel, arguments):
    return per_channel.unflatten(1, (arguments["groups"], -1))


def _roundings(x, terms, arguments):
    """Of three transforms of 7 each level, a complex product, and the sum of so many spectra."""
    rows, columns = period(ByFourier(**arguments, dtype=x.dtype).pad(x))
    return 3 * 7 * math.log2(rows * columns) + 4 + terms


class Winograd(OtherRoad):
    """Sums before and after the products: with the absolute values of every matrix and tensor the
    algorithm itself yields Σ|terms|.

    An axis takes 2 roundings for the kernel's transform, 1 for the picture's and 2 for the
    output's; then come the product, the sum over channels and blocks, and the bias.
    """

    def forward_errors(self, arguments, values, precision):
        layer = _absolute(arguments, values)
        count = _sums(values["weight"], values["weight"].shape[1], arguments)
        return {OUTPUT: layer.forward(values["input"].abs()) * precision.gamma(count)}

    def backward_errors(self, arguments, values, dy, precision):
        layer = _absolute(arguments, values)
        layer.forward(values["input"].abs())
        dx = layer.backward(dy.abs())
        count = _sums(values["weight"], len(values["weight"]) // arguments["groups"], arguments)
        return {"input": dx * precision.gamma(count)}


def _absolute(arguments, values):
    """The layer of absolute values, in float64."""
    layer = ByWinograd(**arguments, dtype=torch.float64)
    layer.matrices = tuple(tuple(tuple(map(abs, row)) for row in m) for m in (A, B, G))
    for name, parameter in layer.named_parameters():
        parameter.data = values[name].abs()
    return layer


def _sums(weight, channels, arguments):
    axes = zip(weight.shape[2:], per_axis(arguments["dilation"]), strict=True)
    blocks = math.prod(math.ceil((d * (k - 1) + 1) / 3) for k, d in axes)
    return 2 * (2 + 1 + 2) + 1 + channels + blocks + 1
