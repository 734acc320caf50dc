"""Windows that slide over one, two or three axes: kernel, stride and dilation, and the sizes that
they fit.

Each axis gets its own kernel, stride and dilation. Sizes start at the smallest that the kernel
fits, so kernel = image is common, and leave every remainder of the stride.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from verification.strategies.drawing import DrawFn
from verification.strategies.geometry import (
    Amount,
    Limits,
    Shape,
    choices,
    numbers,
    per_axis,
    per_axis_amounts,
)

FREE = Limits()
"""Nothing held."""


@dataclass(frozen=True)
class Window:
    """The arguments that convolutions share: kernel_size, stride and dilation, one number or one
    per axis. A stride of None is the kernel's size.
    """

    kernel: Amount
    stride: Amount | None
    dilation: Amount
    dims: int = 2

    @property
    def extents(self) -> Shape:
        """How many pixels the dilated kernel spans on each axis."""
        both = zip(
            per_axis(self.kernel, self.dims), per_axis(self.dilation, self.dims), strict=True
        )
        return tuple(d * (k - 1) + 1 for k, d in both)

    @property
    def strides(self) -> Shape:
        """The stride of each axis."""
        return per_axis(self.kernel if self.stride is None else self.stride, self.dims)

    @property
    def arguments(self) -> dict[str, Amount | None]:
        """The arguments by name."""
        return {"kernel_size": self.kernel, "stride": self.stride, "dilation": self.dilation}


def draw_window(
    draw: DrawFn, reach: int, largest_stride: int = 4, limits: Limits = FREE, dims: int = 2
) -> Window:
    """A kernel of at most 4, dilated by at most 3, that spans at most `reach` pixels an axis.

    In one case of eight, where nothing is held, kernel, stride and dilation are one number.
    """
    if not limits.fixed and draw(numbers(0, 7)) == 7:
        alike = draw(choices((2, 3) if reach > 6 else (1, 2) if reach > 2 else (1,)))
        return Window(alike, min(alike, largest_stride), alike, dims)
    kernel = draw(limits.choose("kernel_size", per_axis_amounts(1, min(4, reach), dims)))
    stride = draw(limits.choose("stride", per_axis_amounts(1, largest_stride, dims)))
    steps = max(1, max(per_axis(kernel, dims)) - 1)
    dilations = per_axis_amounts(1, max(1, min(3, (reach - 1) // steps)), dims)
    return Window(kernel, stride, draw(limits.choose("dilation", dilations)), dims)


def reach_of(limits: Limits, dims: int) -> int:
    """The largest kernel extent whose square, or cube, leaves room for two channels."""
    reach = 2
    while (reach + 1) ** dims <= limits.elements // 2:
        reach += 1
    return reach


def draw_image(
    draw: DrawFn, limits: Limits, batch: int, channels: int, smallest: Shape, strides: Shape
) -> Shape:
    """(batch, channels, sizes of the axes), each of at least the smallest size."""
    room = limits.elements // (max(1, batch) * channels)
    sizes: list[int] = []
    for axis, (least, stride) in enumerate(zip(smallest, strides, strict=True)):
        others = math.prod(smallest[axis + 1 :])
        sizes.append(_draw_size(draw, least, stride, room // others))
        room //= sizes[-1]
    return (batch, channels, *sizes)


def _draw_size(draw: DrawFn, smallest: int, stride: int, room: int) -> int:
    """A size of one axis from the smallest that fits, up to 3 strides more and with every remainder
    that the stride can leave, as far as there is room.
    """
    return draw(numbers(smallest, max(smallest, min(room, smallest + 4 * stride - 1))))
