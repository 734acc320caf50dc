"""How a layer reads its picture, drawn in text: one line an output, along each axis."""

import math
from collections.abc import Iterator
from typing import Any

from verification.cases import Case, Role

MOST_OUTPUTS = 12
MOST_PIXELS = 72
"""Beyond these a drawing says less than the numbers."""

PIXEL, ZERO = ".", "0"
READ = {PIXEL: "#", ZERO: "o"}


def geometry_lines(case: Case) -> Iterator[str]:
    """The drawing of the outermost layer, where it slides a window over a picture or resizes one.

    '#' is a pixel that is read, 'o' a zero of the padding that is; '.' and '0' are not read.
    """
    shape, arguments = case.of_role(Role.INPUT)[0].shape, case.layer.kwargs
    if shape is None or len(shape) != 4 or case.option("error") is not None:
        return
    for axis, name in enumerate(("rows", "columns")):
        size = shape[2 + axis]
        along = {key: _along(value, axis) for key, value in arguments.items()}
        if "scale_factor" in along:
            yield f"{name}: pixels {size}, enlarged {math.floor(size * along['scale_factor'])}"
        elif "output_padding" in along:
            yield from _transposed(name, size, along)
        elif "kernel_size" in along:
            yield from _correlation(name, size, along)


def _along(value: Any, axis: int) -> Any:
    """An argument of one axis."""
    return value[axis] if isinstance(value, tuple) and len(value) == 2 else value


def _correlation(name: str, size: int, along: dict[str, Any]) -> Iterator[str]:
    kernel, stride, dilation = along["kernel_size"], along["stride"], along["dilation"]
    before, after = _margins(along["padding"], dilation * (kernel - 1))
    reach = dilation * (kernel - 1) + 1
    room = before + size + after - reach
    count, spare = room // stride + 1, room % stride
    yield f"{name}: pixels {size}, outputs {count}, left over {spare}"
    pixels = ZERO * before + PIXEL * size + ZERO * after
    yield from _windows(pixels, count, kernel, stride, dilation)


def _transposed(name: str, size: int, along: dict[str, Any]) -> Iterator[str]:
    kernel, stride, dilation = along["kernel_size"], along["stride"], along["dilation"]
    total = (size - 1) * stride + dilation * (kernel - 1) + 1 + along["output_padding"]
    cut = along["padding"]
    yield f"{name}: pixels {size}, outputs {total - 2 * cut}; each pixel writes to"
    pixels = ZERO * cut + PIXEL * (total - 2 * cut) + ZERO * cut
    yield from _windows(pixels, size, kernel, stride, dilation)


def _margins(padding: int | str, total: int) -> tuple[int, int]:
    if padding == "same":
        return total // 2, total - total // 2
    return (0, 0) if isinstance(padding, str) else (padding, padding)


def _windows(pixels: str, count: int, kernel: int, stride: int, dilation: int) -> Iterator[str]:
    if len(pixels) > MOST_PIXELS:
        return
    for number in range(min(count, MOST_OUTPUTS)):
        line = list(pixels)
        for step in range(kernel):
            at = number * stride + step * dilation
            line[at] = READ[line[at]]
        yield f"  {number:>2} {''.join(line)}"
    if count > MOST_OUTPUTS:
        yield f"  and {count - MOST_OUTPUTS} more"
