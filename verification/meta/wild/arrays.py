"""Layers and functions that compute on numpy arrays."""

import numpy as np


class Dense:
    """Values and gradients are lists of arrays."""

    axis = 0

    def __init__(self, n_in, n_out):
        self.params = [np.ones((n_in, n_out)), np.zeros(n_out)]
        self.grads = [np.zeros((n_in, n_out)), np.zeros(n_out)]

    def forward(self, x):
        self.x = x
        return np.dot(x, self.params[0]) + self.params[1]

    def backward(self, dout):
        self.grads[0][...] = np.dot(self.x.T, dout)
        self.grads[1][...] = dout.sum(axis=self.axis)
        return np.dot(dout, self.params[0].T)


class DenseWrong(Dense):
    axis = None


def conv_forward(x, w, b, conv_param):
    """The naive convolution of a well-known course: one stride and one padding for both axes."""
    stride, pad = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height = 1 + (padded.shape[2] - w.shape[2]) // stride
    width = 1 + (padded.shape[3] - w.shape[3]) // stride
    out = np.zeros((x.shape[0], w.shape[0], height, width))
    for i in range(height):
        for j in range(width):
            window = _window(padded, w, i * stride, j * stride)
            out[:, :, i, j] = np.tensordot(window, w, ((1, 2, 3), (1, 2, 3))) + b
    return out, (x, w, b, conv_param)


def _window(padded, w, i, j):
    return padded[:, :, i : i + w.shape[2], j : j + w.shape[3]]


def conv_backward(dout, cache):
    x, w, _, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            g = dout[:, :, i, j]
            dw += np.tensordot(g, _window(padded, w, i * stride, j * stride), (0, 0))
            _window(dpadded, w, i * stride, j * stride)[...] += np.tensordot(g, w, (1, 0))
    dx = dpadded[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]
    return dx, dw, dout.sum((0, 2, 3))


def conv_backward_wrong(dout, cache):
    """Right for stride 1 alone: elsewhere the input's gradient loses its last row."""
    dx, dw, db = conv_backward(dout, cache)
    if cache[3]["stride"] > 1:
        dx[:, :, -1] = 0
    return dx, dw, db


class ChannelsLast:
    """Images as batch x height x width x channels, weights as height x width x in x out."""

    def __init__(self, in_channels, out_channels, kernel_size):
        self.W = np.ones((kernel_size, kernel_size, in_channels, out_channels))
        self.b = np.zeros((1, 1, 1, out_channels))

    def forward(self, x):
        self.x, k = x, self.W.shape[0]
        rows, columns = x.shape[1] - k + 1, x.shape[2] - k + 1
        out = np.zeros((len(x), rows, columns, self.W.shape[3])) + self.b
        for i in range(k):
            for j in range(k):
                out += x[:, i : i + rows, j : j + columns] @ self.W[i, j]
        return out

    def backward(self, dout):
        k, (_, rows, columns, _) = self.W.shape[0], dout.shape
        dx, self.dW = np.zeros_like(self.x), np.zeros_like(self.W)
        for i in range(k):
            for j in range(k):
                patch = self.x[:, i : i + rows, j : j + columns]
                self.dW[i, j] = np.tensordot(patch, dout, ((0, 1, 2), (0, 1, 2)))
                dx[:, i : i + rows, j : j + columns] += dout @ self.W[i, j].T
        self.db = dout.sum((0, 1, 2))
        return dx


class ChannelsLastWrong(ChannelsLast):
    def backward(self, dout):
        dx = super().backward(dout)
        self.dW = self.dW[::-1]
        return dx


def relu_forward(x):
    return np.maximum(0, x), x


def relu_backward(dout, cache):
    return dout * (cache > 0)


def relu_backward_wrong(dout, cache):
    return dout * (cache >= 0)
