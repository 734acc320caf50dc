"""Layers as courses and blogs write them, each with something that only a few have."""

import numpy as np
import torch


class Norm:
    """Batch norm of matrices, called and not forwarded; parameters are bare tensors."""

    def __init__(self, dim, eps=1e-5, momentum=0.1):
        self.eps, self.momentum, self.training = eps, momentum, True
        self.gamma, self.beta = torch.ones(dim), torch.zeros(dim)
        self.running_mean, self.running_var = torch.zeros(dim), torch.ones(dim)

    def __call__(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(0), x.var(0, unbiased=False)
            self.running_mean = torch.lerp(self.running_mean, mean, self.momentum)
            self.running_var = torch.lerp(self.running_var, x.var(0), self.momentum)
        self.invstd = (var + self.eps) ** -0.5
        self.xhat = (x - mean) * self.invstd
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        self.dgamma, self.dbeta = (dout * self.xhat).sum(0), dout.sum(0)
        if not self.training:
            return self.gamma * self.invstd * dout
        centred = dout - dout.mean(0) - self.xhat * (dout * self.xhat).mean(0)
        return self.gamma * self.invstd * centred

    def parameters(self):
        return [self.gamma, self.beta]


class NormWrong(Norm):
    """In training too it takes its statistics for constants."""

    def backward(self, dout):
        super().backward(dout)
        return self.gamma * self.invstd * dout


def batchnorm_forward(x, gamma, beta, bn_param):
    """Its mode stands in the dict of its arguments."""
    mode, eps = bn_param["mode"], bn_param.get("eps", 1e-5)
    if mode == "test":
        return gamma * (x - bn_param["mean"]) / np.sqrt(bn_param["var"] + eps) + beta, None
    xhat = (x - x.mean(0)) / np.sqrt(x.var(0) + eps)
    return gamma * xhat + beta, (xhat, gamma, np.sqrt(x.var(0) + eps))


def batchnorm_backward(dout, cache):
    xhat, gamma, std = cache
    d = dout * gamma
    dx = (d - d.mean(0) - xhat * (d * xhat).mean(0)) / std
    return dx, (dout * xhat).sum(0), dout.sum(0)


def batchnorm_backward_wrong(dout, cache):
    dx, dgamma, _ = batchnorm_backward(dout, cache)
    return dx, dgamma, dgamma


class Apart:
    """The cache comes before the cotangent, and the gradients of the parameters in a tuple."""

    def __init__(self, nin, nout):
        self.w, self.b = torch.randn(nin, nout), torch.zeros(nout)

    def forward(self, x):
        return x @ self.w + self.b, x

    def backward(self, x, g):
        return g @ self.w.T, (x.T @ g, g.sum(0))


class ApartWrong(Apart):
    def backward(self, x, g):
        dx, (dw, db) = super().backward(x, g)
        return dx, (dw, db / len(x))


class Table:
    """Rows of an array by index; the output is none of whole numbers."""

    def __init__(self, vocab, dim):
        self.W = np.zeros((vocab, dim))

    def forward(self, idx):
        self.idx = idx
        return self.W[idx]

    def backward(self, dout):
        self.dW = np.zeros_like(self.W)
        np.add.at(self.dW, self.idx, dout)


class TableWrong(Table):
    """Counts an index that comes twice once."""

    def backward(self, dout):
        self.dW = np.zeros_like(self.W)
        self.dW[self.idx] += dout


class OneHot:
    """Cross entropy against one-hot rows, or any probabilities."""

    def forward(self, y_pred, y_true):
        z = y_pred - y_pred.max(axis=1, keepdims=True)
        self.logs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        self.t = y_true
        return -(y_true * self.logs).sum() / len(y_true)

    def backward(self):
        return (np.exp(self.logs) * self.t.sum(1, keepdims=True) - self.t) / len(self.t)


class OneHotWrong(OneHot):
    def backward(self):
        return super().backward() * len(self.t)


def dropout_forward(x, dropout_param):
    """p is the share that is kept."""
    p, mask = dropout_param["p"], None
    if dropout_param["mode"] == "train":
        mask = (np.random.rand(*x.shape) < p) / p  # noqa: NPY002 - as courses draw
    return x if mask is None else x * mask, (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    return dout * mask if dropout_param["mode"] == "train" else dout


def dropout_backward_wrong(dout, cache):
    """Drops, and does not scale."""
    return dout if cache[1] is None else dout * (cache[1] > 0)


class Labels:
    """Cross entropy of a matrix; of an image it would raise, or silently pair what is not one."""

    def forward(self, logits, targets):
        self.logs, self.t = torch.log_softmax(logits, 1), targets
        return -self.logs[torch.arange(len(targets)), targets].mean()

    def backward(self):
        g = self.logs.exp()
        g[torch.arange(len(self.t)), self.t] -= 1
        return g / len(self.t)


class LabelsWrong(Labels):
    def backward(self):
        return super().backward() * len(self.t)


class Attention:
    """Drops weights while it trains, which is how it is built."""

    def __init__(self, dropout=0.1):
        self.p, self.training = dropout, True

    def forward(self, q, k, v):
        self.given, self.scale = (q, k, v), q.shape[-1] ** -0.5
        self.a = torch.softmax(q @ k.mT * self.scale, -1)
        self.mask = (torch.rand_like(self.a) > self.p) / (1 - self.p) if self.training else 1.0
        return (self.a * self.mask) @ v

    def backward(self, g):
        q, k, v = self.given
        da = g @ v.mT * self.mask
        ds = self.a * (da - (da * self.a).sum(-1, keepdim=True)) * self.scale
        return ds @ k, ds.mT @ q, (self.a * self.mask).mT @ g


class AttentionWrong(Attention):
    def backward(self, g):
        dq, dk, dv = super().backward(g)
        return dq, dk / self.scale, dv


class Momentum:
    """An optimiser that is given dicts of its parameters and gradients."""

    def __init__(self, lr=0.01, momentum=0.9):
        self.lr, self.momentum, self.v = lr, momentum, {}

    def update(self, params, grads):
        for key in params:
            self.v[key] = self.momentum * self.v.get(key, 0) - self.lr * grads[key]
            params[key] += self.v[key]


def sgd_momentum(w, dw, config=None):
    """One step of one array; the dict comes back with what the next step needs."""
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2)
    config.setdefault("momentum", 0.9)
    v = config["momentum"] * config.get("velocity", np.zeros_like(w))
    config["velocity"] = v - config["learning_rate"] * dw
    return w + config["velocity"], config


def sgd_momentum_wrong(w, dw, config=None):
    """Forgets what it kept."""
    return sgd_momentum(w, dw, config)[0], {}


def rmsprop(w, dw, config):
    """The square of the gradient is kept; the array is changed in place."""
    config.setdefault("cache", np.zeros_like(w))
    config["cache"] += (1 - config["decay_rate"]) * (dw * dw - config["cache"])
    w -= config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"])
    return w, config


def rmsprop_wrong(w, dw, config):
    """The mean of squares starts anew in every step."""
    w, config = rmsprop(w, dw, config)
    del config["cache"]
    return w, config


class MomentumWrong(Momentum):
    """Averages, and does not add up."""

    def update(self, params, grads):
        damped = {key: (1 - self.momentum) * grad for key, grad in grads.items()}
        super().update(params, damped)
