"""Layers of the first nets that people write: they learn while they differentiate, take one sample
at a time, or hold samples as columns.
"""

import numpy as np


class Learning:
    """backward(grad, learning_rate) moves the parameters, in place and by new arrays."""

    share = 1

    def __init__(self, input_size, output_size):
        self.weights = np.zeros((input_size, output_size))
        self.bias = np.zeros((1, output_size))

    def forward(self, x):
        self.x = x
        return x @ self.weights + self.bias

    def backward(self, grad, learning_rate):
        back = grad @ self.weights.T
        self.weights -= learning_rate * (self.x.T @ grad)
        self.bias = self.bias - learning_rate * self.share * grad.sum(axis=0, keepdims=True)
        return back


class LearningWrong(Learning):
    share = 2


class Paced:
    """Built with its learning rate, and a velocity beside it."""

    def __init__(self, n_inputs, n_outputs, lr=0.01):
        self.W, self.b = np.zeros((n_inputs, n_outputs)), np.zeros(n_outputs)
        self.v, self.lr = np.zeros_like(self.W), lr

    def forward(self, x):
        self.x = x
        return x.dot(self.W) + self.b

    def backward(self, dout, momentum=0.9):
        dx = dout.dot(self.W.T)
        self.v = momentum * self.v - self.lr * self.rows().T.dot(dout)
        self.W += self.v
        self.b -= self.lr * dout.sum(axis=0)
        return dx

    def rows(self):
        return self.x


class PacedWrong(Paced):
    """Learns from the first sample alone."""

    def rows(self):
        return self.x * (np.arange(len(self.x)) == 0)[:, None]


class Column:
    """W x + b of one column; the step of its bias is the gradient itself."""

    def __init__(self, n_in, n_out):
        self.W, self.b = np.zeros((n_out, n_in)), np.zeros((n_out, 1))

    def forward(self, x):
        self.x = x
        return self.W @ x + self.b

    def backward(self, output_gradient, learning_rate):
        back = self.back(output_gradient)
        self.W -= learning_rate * output_gradient @ self.x.T
        self.b -= learning_rate * output_gradient
        return back

    def back(self, g):
        return self.W.T @ g


class ColumnWrong(Column):
    """Sends its gradient back through the weights as they are after the step."""

    def backward(self, output_gradient, learning_rate):
        super().backward(output_gradient, learning_rate)
        return self.back(output_gradient)


class Filters:
    """A convolution of one image, height x width x channels."""

    turned = slice(None)

    def __init__(self, num_filters, input_depth, kernel_size=3):
        self.k = kernel_size
        self.filters = np.zeros((num_filters, kernel_size, kernel_size, input_depth))

    def places(self):
        h, w, _ = self.image.shape
        for i in range(h - self.k + 1):
            for j in range(w - self.k + 1):
                yield i, j, self.image[i : i + self.k, j : j + self.k]

    def forward(self, image):
        self.image = image
        h, w, _ = image.shape
        out = np.zeros((h - self.k + 1, w - self.k + 1, len(self.filters)))
        for i, j, patch in self.places():
            out[i, j] = (patch * self.filters).sum(axis=(1, 2, 3))
        return out

    def backprop(self, d_L_d_out, learn_rate):  # noqa: N803 - as its author wrote it
        d_filters, d_image = np.zeros_like(self.filters), np.zeros(self.image.shape)
        for i, j, patch in self.places():
            g = d_L_d_out[i, j][:, None, None, None]
            d_filters += g * patch
            back = (g * self.filters).sum(axis=0)
            d_image[i : i + self.k, j : j + self.k] += back[:, self.turned]
        self.filters -= learn_rate * d_filters
        return d_image


class FiltersWrong(Filters):
    turned = slice(None, None, -1)


def linear_forward(A, W, b):  # noqa: N803
    """Samples are columns."""
    return W.dot(A) + b, (A, W, b)


def linear_backward(dZ, cache):  # noqa: N803
    A, W, _ = cache  # noqa: N806
    return W.T.dot(dZ), dZ.dot(A.T), dZ.sum(axis=1, keepdims=True)


def linear_backward_wrong(dZ, cache):  # noqa: N803
    back, weight, bias = linear_backward(dZ, cache)
    return back, weight / dZ.shape[1], bias / dZ.shape[1]


class Given:
    """Built from its parameters, as a net keeps them in a dict of its own."""

    rows = staticmethod(lambda x: x)

    def __init__(self, W, b):  # noqa: N803
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        self.dW, self.db = np.dot(self.rows(self.x).T, dout), np.sum(dout, axis=0)
        return np.dot(dout, self.W.T)


class GivenWrong(Given):
    rows = staticmethod(np.abs)


class Private:
    """Hides its parameters from everybody, and its eps in its code."""

    power = -1.5

    def __init__(self, size, rng):
        self.__gamma, self.__beta = np.ones(size), np.zeros(size)

    def forward(self, x):
        self.xc = x - x.mean(axis=0)
        self.var = (self.xc**2).mean(axis=0) + 1e-7
        return self.__gamma * self.xc / np.sqrt(self.var) + self.__beta

    def backward(self, dout):
        dxn, n = self.__gamma * dout, len(dout)
        self.dgamma = (dout * self.xc / np.sqrt(self.var)).sum(axis=0)
        self.dbeta = dout.sum(axis=0)
        dvar = -0.5 * (dxn * self.xc).sum(axis=0) * self.var**self.power
        dxc = dxn / np.sqrt(self.var) + 2 * dvar * self.xc / n
        return dxc - dxc.mean(axis=0)


class PrivateWrong(Private):
    power = -0.5


class TargetFirst:
    """loss(y_true, y_pred) and its gradient."""

    def loss(self, y_true, y_pred):
        return ((y_pred - y_true) ** 2 / y_pred.size).sum()

    def gradient(self, y_true, y_pred):
        return 2 * (y_pred - y_true) / y_pred.size


class TargetFirstWrong(TargetFirst):
    def gradient(self, y_true, y_pred):
        return 2 * (y_true - y_pred) / y_pred.size


class Velocity:
    """An optimiser of objects that hold arrays; its rate is called learningRate."""

    decay = 1

    def __init__(self, params, learningRate=0.1, momentum=0.9):  # noqa: N803
        self.params = [p for p in params if p.requires_grad]
        self.learningRate, self.momentum = learningRate, momentum
        self.v = [np.zeros_like(p.data) for p in self.params]

    def step(self):
        for i, p in enumerate(self.params):
            self.v[i] = self.momentum * self.v[i] + self.learningRate * p.grad.copy()
            p.data = p.data - self.decay * self.v[i]


class VelocityWrong(Velocity):
    decay = 2
