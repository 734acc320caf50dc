"""A max pooling on numpy arrays as a pair of functions with a cache.

The seeded fault: where windows overlap, a pixel that is the largest of two gets the gradient of the
last one only: the backward assigns where it must add.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def max_pool_forward(x: Array, pool_param: dict[str, Any]) -> tuple[Array, Any]:
    """(N, C, H, W) -> (N, C, (H - h) // s + 1, (W - w) // s + 1), and what the backward needs."""
    height, width = pool_param["pool_height"], pool_param["pool_width"]
    stride = pool_param["stride"]
    rows, columns = 1 + (x.shape[2] - height) // stride, 1 + (x.shape[3] - width) // stride
    out = np.empty((*x.shape[:2], rows, columns), x.dtype)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            out[:, :, i, j] = x[:, :, top : top + height, left : left + width].max((2, 3))
    return out, (x, pool_param)


def max_pool_backward(dout: Array, cache: Any) -> Array:
    """Each gradient goes to the first pixel that was the largest of its window."""
    x, pool_param = cache
    height, width = pool_param["pool_height"], pool_param["pool_width"]
    dx, stride = np.zeros_like(x), pool_param["stride"]
    for n, c, i, j in np.ndindex(*dout.shape):
        top, left = i * stride, j * stride
        window = x[n, c, top : top + height, left : left + width]
        row, column = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, top + row, left + column] = dout[n, c, i, j]
    return dx
