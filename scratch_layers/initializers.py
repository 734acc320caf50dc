"""Initial weights and biases: what torch.nn draws, number for number, under the same seed.

Uniform distributions (K. He et al., "Delving deep into rectifiers", 2015, eq. 14 with the leaky
slope a = sqrt(5) that torch.nn uses, for which the bound is 1 / sqrt(fan_in)).
"""

import math

from torch import Tensor


def fan_in(weight: Tensor) -> int:
    """Products that one output sums, for a weight (_, channels, kernel height, kernel width)."""
    return math.prod(weight.shape[1:])


def kaiming_uniform(weight: Tensor) -> Tensor:
    """Fill `weight` in place from U(-bound, bound), bound = gain sqrt(3 / fan_in); return it.

    gain = sqrt(2 / (1 + a^2)) with a = sqrt(5). So the bound is 1 / sqrt(fan_in), but written like
    that it would often miss torch.nn's last bit.
    """
    gain = math.sqrt(2.0 / (1 + 5))
    bound = math.sqrt(3.0) * (gain / math.sqrt(fan_in(weight)))
    return weight.uniform_(-bound, bound)


def bias_uniform(bias: Tensor, weight: Tensor) -> Tensor:
    """Fill `bias` in place from U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)); return it."""
    bound = 1 / math.sqrt(fan_in(weight))
    return bias.uniform_(-bound, bound)
