"""Recurrent nets in numpy, as courses write them: one bias, one output; states in and out."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class LSTM:
    """One bias for both products; returns the hidden states alone."""

    def __init__(self, input_size, hidden_size):
        self.H = hidden_size
        self.Wx = np.zeros((4 * hidden_size, input_size))
        self.Wh = np.zeros((4 * hidden_size, hidden_size))
        self.b = np.zeros(4 * hidden_size)

    def forward(self, x):
        h = c = np.zeros((x.shape[1], self.H))
        self.cache, states = [], []
        for step in x:
            gates = np.split(step @ self.Wx.T + h @ self.Wh.T + self.b, 4, axis=1)
            i, f, o = (sigmoid(gates[k]) for k in (0, 1, 3))
            g = np.tanh(gates[2])
            new = f * c + i * g
            self.cache.append((step, h, c, i, f, g, o, np.tanh(new)))
            h, c = o * np.tanh(new), new
            states.append(h)
        return np.stack(states)

    def backward(self, dout):
        self.dWx, self.dWh = np.zeros_like(self.Wx), np.zeros_like(self.Wh)
        self.db = np.zeros_like(self.b)
        dx = []
        dh = dc = np.zeros(dout.shape[1:])
        for (x, h, c, i, f, g, o, t), given in zip(self.cache[::-1], dout[::-1], strict=True):
            dh = dh + given
            dc = dc + dh * o * (1 - t**2)
            slopes = (dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2))
            da = np.concatenate([*slopes, dh * t * o * (1 - o)], axis=1)
            self.dWx += da.T @ x
            self.dWh += da.T @ h
            self.db += da.sum(0)
            dx.append(da @ self.Wx)
            dh, dc = self.carried(da @ self.Wh), dc * f
        return np.stack(dx[::-1])

    def carried(self, dh):
        return dh


class LSTMWrong(LSTM):
    """Sends no gradient through time."""

    def carried(self, dh):
        return 0 * dh


class RNN:
    """Wants its first state, and returns its last one too."""

    def __init__(self, input_size, hidden_size):
        self.W_ih = np.zeros((hidden_size, input_size))
        self.W_hh = np.zeros((hidden_size, hidden_size))
        self.b_ih, self.b_hh = np.zeros(hidden_size), np.zeros(hidden_size)

    def forward(self, x, h0):
        self.x, self.h = x, [h0[0]]
        for step in x:
            through_state = self.h[-1] @ self.W_hh.T + self.b_hh
            self.h.append(np.tanh(step @ self.W_ih.T + self.b_ih + through_state))
        return np.stack(self.h[1:]), self.h[-1][None]

    def backward(self, dout, dlast):
        self.dW_ih, self.dW_hh = np.zeros_like(self.W_ih), np.zeros_like(self.W_hh)
        self.db_ih, self.db_hh = np.zeros_like(self.b_ih), np.zeros_like(self.b_hh)
        dx, dh = np.zeros_like(self.x), dlast[0]
        for t in reversed(range(len(self.x))):
            da = (dh + dout[t]) * (1 - self.h[t + 1] ** 2)
            self.dW_ih += da.T @ self.x[t]
            self.dW_hh += da.T @ self.h[t]
            self.db_ih += da.sum(0)
            self.db_hh += da.sum(0)
            dx[t], dh = da @ self.W_ih, da @ self.W_hh
        return dx, dh[None]


class RNNWrong(RNN):
    """Forgets the gradient of the last state."""

    def backward(self, dout, dlast):
        return super().backward(dout, 0 * dlast)


def rnn_forward(x, h0, wx, wh, b):
    """A pair of functions: one bias, weights of inputs times outputs, every state of one layer."""
    states = [h0[0]]
    for step in x:
        states.append(np.tanh(step @ wx + states[-1] @ wh + b))
    return np.stack(states[1:]), (x, states, wx, wh)


def rnn_backward(dout, cache):
    """Its backward, with the first state's gradient."""
    x, states, wx, wh = cache
    dx, dwx, dwh, db = np.zeros_like(x), np.zeros_like(wx), np.zeros_like(wh), 0
    dh = np.zeros_like(states[0])
    for t in reversed(range(len(x))):
        da = (dout[t] + dh) * (1 - states[t + 1] ** 2)
        dx[t], dh = da @ wx.T, da @ wh.T
        dwx, dwh, db = dwx + x[t].T @ da, dwh + states[t].T @ da, db + da.sum(0)
    return dx, dh[None], dwx, dwh, db


def rnn_backward_wrong(dout, cache):
    """Forgets what the states after a step send back to its bias."""
    *gradients, _ = rnn_backward(dout, cache)
    return *gradients, ((1 - np.stack(cache[1][1:]) ** 2) * dout).sum((0, 1))
