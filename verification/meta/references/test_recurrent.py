"""Recurrent nets by hand, which return a bare tuple and name their weights otherwise."""

import pytest
import torch
from torch import nn

from verification import check

PARITY = ("forward_matches_reference", "gradients_match_reference")


class Gated(nn.Module):
    """GRU: one layer in one direction, from a state of zeros."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        rows = 3 * hidden_size
        self.w_ih = nn.Parameter(torch.zeros(rows, input_size))
        self.w_hh = nn.Parameter(torch.zeros(rows, hidden_size))
        self.b_ih, self.b_hh = (nn.Parameter(torch.zeros(rows)) for _ in range(2))

    def forward(self, x):
        h = x.new_zeros(x.shape[1], self.w_hh.shape[1])
        states = []
        for step in x:
            from_input = (step @ self.w_ih.T + self.b_ih).chunk(3, -1)
            from_state = (h @ self.w_hh.T + self.b_hh).chunk(3, -1)
            h = self.next(from_input, from_state, h)
            states.append(h)
        return torch.stack(states), h[None]

    def next(self, x, r, h):
        """(1 - z) n + z h."""
        reset, update = torch.sigmoid(x[0] + r[0]), torch.sigmoid(x[1] + r[1])
        new = torch.tanh(x[2] + reset * r[2])
        return (1 - update) * new + update * h


class UpdatesTheOtherWay(Gated):
    """Takes as much of the new state as torch keeps of the old one, as some papers have it."""

    def next(self, x, r, h):
        update, new = torch.sigmoid(x[1] + r[1]), super().next(x, r, h)
        candidate = (new - update * h) / (1 - update)
        return update * candidate + (1 - update) * h


@pytest.mark.parametrize("layer", [Gated, UpdatesTheOtherWay])
def test_a_net_that_returns_a_tuple_is_told_right_from_wrong(layer):
    report = check(
        layer, like="GRU", properties=PARITY, dtypes=["float64"], examples=10, supervised=False
    )
    assert report.ok == (layer is Gated)
