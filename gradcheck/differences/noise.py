"""How noisy is a function: the level of its rounding errors, seen in a table of differences.

A function that rounds to few digits inside is constant between its jumps, and shows no noise where
the points of the table lie closer together (More and Wild take longer steps then). A jump is a
first difference unlike the two on either side of it, which are alike; at a kink those differ.

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
    for order in _ORDERS:
        differences = values.diff(order, dim=0)
        scale = math.factorial(order) ** 2 / math.factorial(2 * order)
        levels.append((scale * differences.square().mean(0)).sqrt())
    return torch.stack(levels).median(0).values


def jump_sizes(values: Tensor, error: Tensor) -> Tensor:
    """The largest jump in ``values`` [P, *shape] of a function at equally spaced points, [*shape].

    0 where all differences are those of a smooth function, or of one with kinks, within ``error``
    [*shape] of each value.
    """
    first = values.diff(dim=0)
    beside = torch.stack([first[:-4], first[1:-3], first[3:-1], first[4:]])
    jump = (first[2:-2] - beside.mean(0)).abs()
    # a parabola's middle departs by 5/4 where the others span 3/2, a kink's by less than these
    is_jump = jump > 2 * (beside.amax(0) - beside.amin(0)) + 4 * error
    return torch.where(is_jump, jump, 0.0).amax(0)
