"""Layers that are objects: where they keep parameters and gradients, and what backward takes."""

import torch
from torch import nn
from torch.nn.functional import fold, unfold


class Pairs:
    """param() gives pairs; gradients accumulate in place."""

    def __init__(self, in_features, out_features):
        self.w, self.b = torch.randn(out_features, in_features), torch.randn(out_features)
        self.gw, self.gb = torch.zeros_like(self.w), torch.zeros_like(self.b)

    def param(self):
        return [(self.w, self.gw), (self.b, self.gb)]

    def forward(self, x):
        self.x = x
        return x @ self.w.t() + self.b

    def backward(self, g):
        rows = g.reshape(-1, g.shape[-1])
        self.gw += rows.t() @ self.x.reshape(-1, self.x.shape[-1])
        self.gb += rows.sum(0)
        return g @ self.w


class PairsWrong(Pairs):
    """The bias gradient is a mean."""

    def backward(self, g):
        dx = super().backward(g)
        self.gb /= g.shape[0]
        return dx


class Rebound:
    """params() gives pairs whose gradients are bound anew at every backward, and placeholders."""

    bias_of = staticmethod(lambda g: g.sum(0))

    def __init__(self, n_in, n_out):
        self.weight, self.bias = torch.randn(n_in, n_out), torch.randn(1, n_out)
        self.dw = self.db = None

    def params(self):
        return ((self.weight, self.dw), (None, None), (self.bias, self.db))

    def forward(self, x):
        self.x = x
        return x.mm(self.weight) + self.bias

    def backward(self, g):
        self.dw, self.db = self.x.t().mm(g), self.bias_of(g)
        return g.mm(self.weight.t())


class ReboundWrong(Rebound):
    bias_of = staticmethod(lambda g: g.mean(0))


class Listed:
    """parameters() gives bare tensors, and backward leaves gradients in their `grad`."""

    factor = 1

    def __init__(self, in_dim, out_dim, bias=True):
        self.kernel = torch.randn(out_dim, in_dim)
        self.offset = torch.randn(out_dim) if bias else None

    def parameters(self):
        return [p for p in (self.kernel, self.offset) if p is not None]

    def forward(self, inputs):
        self.inputs = inputs
        out = inputs @ self.kernel.T
        return out if self.offset is None else out + self.offset

    def backward(self, grad):
        flat = grad.flatten(0, -2)
        self.kernel.grad = self.factor * flat.T @ self.inputs.flatten(0, -2)
        if self.offset is not None:
            self.offset.grad = flat.sum(0)
        return grad @ self.kernel


class ListedWrong(Listed):
    factor = 2


class Flat:
    """get_params() gives values, then gradients, in one list."""

    sign = 1

    def __init__(self, fan_in, fan_out):
        self.all = [torch.randn(fan_in, fan_out), torch.randn(fan_out), None, None]
        self.all[2:] = [torch.zeros(fan_in, fan_out), torch.zeros(fan_out)]

    def get_params(self):
        return self.all

    def forward(self, x):
        w, b, _, _ = self.all
        self.x = x
        return x @ w + b

    def backward(self, g):
        w, _, gw, gb = self.all
        gw.copy_(self.x.reshape(-1, w.shape[0]).T @ g.reshape(-1, w.shape[1]))
        gb.copy_(self.sign * g.reshape(-1, w.shape[1]).sum(0))
        return g @ w.T


class FlatWrong(Flat):
    sign = -1


class Dicts:
    """`params` and `grads` are dicts."""

    def __init__(self, input_size, output_size):
        self.params = {"W": torch.randn(input_size, output_size), "b": torch.randn(output_size)}
        self.grads = {}

    def forward(self, X):  # noqa: N803 - as its author wrote it
        self.X = X
        return X @ self.params["W"] + self.params["b"]

    def backward(self, dY):  # noqa: N803
        self.grads["W"] = torch.einsum("...i,...j->ij", self.X, dY)
        self.grads["b"] = dY.reshape(-1, dY.shape[-1]).sum(0)
        return dY @ self.params["W"].T


class DictsWrong(Dicts):
    def backward(self, dY):  # noqa: N803
        dx = super().backward(dY)
        self.grads["W"][0] = 0
        return dx


class Object:
    def __init__(self, data):
        self.data, self.grad = data, torch.zeros_like(data)


class Objects:
    """Parameter objects in attributes, and no method that lists them."""

    def __init__(self, in_features, out_features):
        self.w = Object(torch.randn(out_features, in_features))
        self.b = Object(torch.randn(out_features))

    def forward(self, x):
        self.x = x
        return x @ self.w.data.T + self.b.data

    def backward(self, dout):
        self.w.grad += torch.einsum("...o,...i->oi", dout, self.x)
        self.b.grad += dout.flatten(0, -2).sum(0)
        return dout @ self.w.data


class ObjectsWrong(Objects):
    def forward(self, x):
        return super().forward(x) - self.b.data


class Attributes:
    """backward(x, g) assigns gradients to attributes and returns nothing."""

    def __init__(self, in_channels, out_channels, kernel_size, padding=0):
        self.k, self.p = kernel_size, padding
        self.weights = torch.randn(out_channels, in_channels, kernel_size, kernel_size)
        self.biases = torch.randn(out_channels)

    def forward(self, x):
        size = [n + 2 * self.p - self.k + 1 for n in x.shape[2:]]
        y = self.weights.flatten(1) @ unfold(x, self.k, padding=self.p)
        return (y + self.biases[:, None]).unflatten(2, size)

    def backward(self, x, g):
        columns = unfold(x, self.k, padding=self.p)
        flat = g.flatten(2)
        self.d_weights = (flat @ columns.transpose(1, 2)).sum(0).view_as(self.weights)
        self.d_biases = flat.sum((0, 2))
        back = self.weights.flatten(1).T @ flat
        self.dx = fold(back, x.shape[2:], self.k, padding=self.p)


class AttributesWrong(Attributes):
    """Forgets the padding on the way back, where there is any."""

    def backward(self, x, g):
        super().backward(x, g)
        if self.p:
            self.dx = self.dx.roll(1, 2)


class Tuples:
    """backward returns (dw, db, dx), and the weight is flattened to a matrix."""

    swap = False

    def __init__(self, cin, cout, ksize, stride=1):
        self.k, self.s = (ksize, ksize) if isinstance(ksize, int) else ksize, stride
        self.W = torch.randn(cin * self.k[0] * self.k[1], cout)
        self.b = torch.randn(cout, 1)

    def __call__(self, x):
        s = (self.s, self.s) if isinstance(self.s, int) else self.s
        self.size, self.columns = x.shape[2:], unfold(x, self.k, stride=s)
        sizes = [(n - k) // t + 1 for n, k, t in zip(self.size, self.k, s, strict=True)]
        return (self.W.T @ self.columns + self.b).unflatten(2, sizes)

    def backprop(self, delta):
        g = delta.flatten(2)
        dw = (self.columns @ g.transpose(1, 2)).sum(0)
        dx = fold(self.W @ g, self.size, self.k, stride=self.s)
        return dw.flip(0) if self.swap else dw, g.sum((0, 2)), dx


class TuplesWrong(Tuples):
    swap = True


class LearnsWithoutInput:
    """A first layer: backward returns nothing, since nobody stands before it."""

    def __init__(self, in_features, out_features):
        self.w, self.b = torch.randn(out_features, in_features), torch.randn(out_features)

    def forward(self, x):
        self.x = x
        return x @ self.w.T + self.b

    def backward(self, g):
        self.w_grad = torch.einsum("...o,...i->oi", g, self.x)
        self.b_grad = g.flatten(0, -2).sum(0)


class LearnsWithoutInputWrong(LearnsWithoutInput):
    def backward(self, g):
        super().backward(g)
        self.w_grad = self.w_grad / len(g)


class Cached:
    """forward returns a cache that backward takes."""

    def forward(self, x):
        return x.clamp(min=0), x > 0

    def backward(self, dout, mask):
        return dout * mask


class CachedWrong(Cached):
    def forward(self, x):
        return x.clamp(min=0), x >= 0


class Loss:
    """A loss's backward takes nothing, or what forward took."""

    def forward(self, pred, target):
        self.off = pred - target
        return self.off.square().mean()

    def backward(self):
        return 2 * self.off / self.off.numel()


class LossWrong(Loss):
    def backward(self):
        return 2 * self.off / len(self.off)


class Module(nn.Module):
    """An nn.Module with a usual constructor, differentiated by autograd."""

    def __init__(self, in_planes, planes, kernel_size=3):
        super().__init__()
        self.filters = nn.Parameter(torch.randn(planes, in_planes, kernel_size, kernel_size))

    def forward(self, x):
        k = self.filters.shape[-1]
        size = [n - k + 1 for n in x.shape[2:]]
        return (self.filters.flatten(1) @ unfold(x, k)).unflatten(2, size)


class ModuleWrong(Module):
    """Cuts the graph for wide images."""

    def forward(self, x):
        y = super().forward(x)
        return y.detach() + 0 * self.filters.sum() if x.shape[3] > x.shape[2] else y


class Descent:
    """An optimiser that is told its parameters first."""

    def __init__(self, parameters, lr, momentum=0.0):
        self.parameters, self.lr, self.momentum = list(parameters), lr, momentum
        self.kept = [torch.zeros_like(p.data) for p in self.parameters]

    def step(self):
        for p, kept in zip(self.parameters, self.kept, strict=True):
            kept.mul_(self.momentum).add_(self.lr * p.grad)
            p.data -= kept


class DescentWrong(Descent):
    def step(self):
        super().step()
        self.kept[-1].zero_()
