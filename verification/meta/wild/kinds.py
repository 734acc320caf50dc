"""Course-style layers of other kinds, which take a part of torch.nn's arguments or assume one."""

import torch


class BatchNorm:
    """Always trains; its parameters stand as 1 x C x 1 x 1."""

    reduced = (0, 2, 3)

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        self.gamma, self.beta = torch.ones(1, channels, 1, 1), torch.zeros(1, channels, 1, 1)
        self.eps = eps

    def forward(self, x):
        mean = x.mean((0, 2, 3), keepdim=True)
        self.inverse = (x.var((0, 2, 3), unbiased=False, keepdim=True) + self.eps).rsqrt()
        self.normal = (x - mean) * self.inverse
        return self.gamma * self.normal + self.beta

    def backward(self, g):
        self.dgamma, self.dbeta = (g * self.normal).sum((0, 2, 3)), g.sum((0, 2, 3))
        h = g * self.gamma
        shared = (h * self.normal).mean(self.reduced, keepdim=True)
        return self.inverse * (h - h.mean((0, 2, 3), keepdim=True) - self.normal * shared)


class BatchNormWrong(BatchNorm):
    reduced = (2, 3)


class LayerNorm:
    """Over the last axis alone."""

    inner = True

    def __init__(self, dim, eps=1e-5):
        self.gamma, self.beta, self.eps = torch.ones(dim), torch.zeros(dim), eps

    def forward(self, x):
        variance = x.var(-1, unbiased=False, keepdim=True)
        self.inverse = (
            (variance + self.eps).rsqrt() if self.inner else 1 / (variance.sqrt() + self.eps)
        )
        self.normal = (x - x.mean(-1, keepdim=True)) * self.inverse
        return self.gamma * self.normal + self.beta

    def backward(self, g):
        self.dgamma = (g * self.normal).flatten(0, -2).sum(0)
        self.dbeta = g.flatten(0, -2).sum(0)
        h = g * self.gamma
        shared = (h * self.normal).mean(-1, keepdim=True)
        return self.inverse * (h - h.mean(-1, keepdim=True) - self.normal * shared)


class LayerNormWrong(LayerNorm):
    """The epsilon stands outside the root."""

    inner = False


class Softmax:
    """Over the last axis, without being told."""

    def forward(self, x):
        e = torch.exp(x - x.amax(-1, keepdim=True))
        self.y = e / e.sum(-1, keepdim=True)
        return self.y

    def backward(self, g):
        return self.y * (g - (g * self.y).sum(-1, keepdim=True))


class SoftmaxWrong(Softmax):
    """The diagonal of the Jacobian alone."""

    def backward(self, g):
        return g * self.y * (1 - self.y)


class SummedLoss:
    """A squared error that is summed, without saying so."""

    factor = 2

    def forward(self, y_pred, y_true):
        self.off = y_pred - y_true
        return self.off.square().sum()

    def backward(self):
        return self.factor * self.off


class SummedLossWrong(SummedLoss):
    factor = 1


class AbsoluteLoss:
    """A summed distance; backward returns the gradients of the prediction and of the target."""

    turned = -1

    def forward(self, y_pred, y_true):
        self.sign = torch.sign(y_pred - y_true)
        return (y_pred - y_true).abs().sum()

    def backward(self):
        return self.sign, self.turned * self.sign


class AbsoluteLossWrong(AbsoluteLoss):
    turned = 1


class Detached(torch.nn.Module):
    """A loss that autograd differentiates, which takes its target for given."""

    def forward(self, input, target):
        return (input - target.detach()).abs().mean()


class Embedding:
    """Rows of a table; its backward returns nothing."""

    def __init__(self, vocab_size, dim):
        self.W = torch.randn(vocab_size, dim)

    def forward(self, indices):
        self.indices = indices
        return self.W[indices]

    def backward(self, dout):
        flat = self.indices.flatten()
        self.dW = torch.zeros_like(self.W).index_add_(0, flat, dout.flatten(0, -2))


class EmbeddingWrong(Embedding):
    """An index that occurs twice counts once."""

    def backward(self, dout):
        self.dW = torch.zeros_like(self.W)
        self.dW[self.indices.flatten()] = dout.flatten(0, -2)


class Adam:
    """beta1 and beta2 are the parts of torch's betas."""

    def __init__(self, params, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        self.params, self.lr, self.eps, self.t = list(params), lr, eps, 0
        self.b1, self.b2 = beta1, beta2
        self.m = [torch.zeros_like(p.data) for p in self.params]
        self.v = [torch.zeros_like(p.data) for p in self.params]

    def step(self):
        self.t += 1
        for p, m, v in zip(self.params, self.m, self.v, strict=True):
            m.mul_(self.b1).add_((1 - self.b1) * p.grad)
            v.mul_(self.b2).add_((1 - self.b2) * p.grad**2)
            mean, square = self.corrected(m, v)
            p.data -= self.lr * mean / (square.sqrt() + self.eps)

    def corrected(self, m, v):
        return m / (1 - self.b1**self.t), v / (1 - self.b2**self.t)


class AdamWrong(Adam):
    """Without the correction of the first steps."""

    def corrected(self, m, v):
        return m, v
