"""How noisy is a function: the level of its rounding errors, seen in a table of differences.

Over a short stretch a function is a polynomial plus noise. Differences of order k remove the
polynomial and multiply the noise by sqrt((2k)!) / k!, so their size tells the noise (J. J. More and
S. M. Wild, *Estimating Computational Noise*, SIAM J. Sci. Comput. 33, 2011; the table is
R. W. Hamming's). The level is a standard deviation, and an estimate, never a bound.
"""

import math

import torch
from torch import Tensor

POINTS = 9
_ORDERS = (3, 4, 5)  # the first two still contain the function; later ones have too few rows


def noise_level(values: Tensor) -> Tensor:
    """Standard deviation of the noise in ``values``, [POINTS, *shape] float64 -> [*shape].

    ``values`` are those of a function at equally spaced points so close together that its third
    differences are nothing but noise. The median of the levels that the orders 3, 4 and 5 give.
    """
    levels = []
    differences = values
    for order in range(1, _ORDERS[-1] + 1):
        differences = differences[1:] - differences[:-1]
        if order in _ORDERS:
            scale = math.factorial(order) ** 2 / math.factorial(2 * order)
            levels.append((scale * differences.square().mean(0)).sqrt())
    return torch.stack(levels).median(0).values
