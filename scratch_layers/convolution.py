"""Conv2d and ConvTranspose2d: one bilinear map seen from its two sides.

What is Conv2d's forward is ConvTranspose2d's input gradient, and the other way round; the weight
gradient is the same contraction with input and cotangent in swapped roles (see correlation.py).
"""

from typing import Literal

import torch
from torch import Tensor

from scratch_layers import correlation
from scratch_layers.checks import (
    Device,
    Pair,
    flag,
    floating_dtype,
    image_batch,
    same_kind,
    same_shape,
    whole_number,
    whole_pair,
)
from scratch_layers.initializers import bias_uniform, kaiming_uniform
from scratch_layers.module import Module, Parameter, Record

Padding = int | Pair | Literal["same", "valid"]


class _Convolution(Module):
    """What both directions share: arguments, parameters and their checks."""

    padding: Pair | Literal["same", "valid"]
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair,
        dilation: int | Pair,
        groups: int,
    ) -> None:
        self.in_channels = whole_number("in_channels", in_channels, 1)
        self.out_channels = whole_number("out_channels", out_channels, 1)
        self.kernel_size = whole_pair("kernel_size", kernel_size, 1)
        self.stride = whole_pair("stride", stride, 1)
        self.dilation = whole_pair("dilation", dilation, 1)
        self.groups = whole_number("groups", groups, 1)
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ValueError(
                    f"groups is {self.groups} and {name} {getattr(self, name)}; "
                    "groups must divide both numbers of channels"
                )

    def _draw_parameters(
        self, channels: Pair, bias: bool, device: Device, dtype: torch.dtype | None
    ) -> None:
        """Weight (*channels, kh, kw), then bias (out_channels): in torch.nn's order of draws."""
        shape, dtype = (*channels, *self.kernel_size), floating_dtype(dtype)
        weight = kaiming_uniform(torch.empty(shape, device=device, dtype=dtype))
        self.weight, self.bias = Parameter(weight), None
        if flag("bias", bias):
            values = torch.empty(self.out_channels, device=device, dtype=dtype)
            self.bias = Parameter(bias_uniform(values, weight))
        self._shapes = {name: value.data.shape for name, value in self.own_parameters()}

    def _accept(self, input: Tensor) -> dict[str, Tensor]:
        """Input and parameters by name, checked and without their autograd history."""
        image_batch("input", input, self.in_channels)
        tensors = {"input": input.detach()}
        for name, shape in self._shapes.items():
            data = vars(self)[name].data
            same_shape(name, data, shape, "the layer was built with it")
            same_kind("input", input, name, data, "convert the input, or layer.to(...)")
            tensors[name] = data.detach()
        return tensors

    def _accumulate(self, grad_weight: Tensor, grad_output: Tensor) -> None:
        """db[o] = sum over n, i of dy[n, o, i]; the sum is rounded once to the bias's dtype."""
        self.weight.grad += grad_weight.to(self.weight.grad.dtype)
        if self.bias is not None:
            self.bias.grad += grad_output.sum((0, 2, 3))

    def __repr__(self) -> str:
        options: dict[str, object] = {"stride": (1, 1), "padding": (0, 0)}
        options |= {"output_padding": (0, 0), "dilation": (1, 1), "groups": 1}
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        for name, default in options.items():
            value = getattr(self, name, default)
            if value != default:
                shown.append(f"{name}={value!r}")
        if self.bias is None:
            shown.append("bias=False")
        return f"{type(self).__name__}({', '.join(shown)})"


class Conv2d(_Convolution):
    """Two-dimensional cross-correlation with bias, as torch.nn.Conv2d with zero padding.

    y[n, o, i] = b[o] + sum over c, u of w[o, c, u] x[n, c, stride i + dilation u - padding]

    with c over the input channels of o's group. Input (N, in_channels, H, W), weight
    (out_channels, in_channels / groups, kh, kw), bias (out_channels); output
    (N, out_channels, oh, ow) with oh = floor((H + padding - dilation (kh - 1) - 1) / stride) + 1,
    where padding counts both sides.

    `padding` zeros lie on both sides; 'valid' means none; 'same' means dilation (k - 1) in all, the
    odd one last, chosen before any stride, so that it is allowed with a stride (where torch.nn
    refuses it) and then gives ceil(H / stride). Every geometric argument is an int or a pair
    (height, width). Any floating dtype; 16-bit inputs are summed in float32 and rounded once.

    Raises TypeError or ValueError for an argument of a wrong type or value, and from `forward`
    ValueError for an input that does not fit; see Module for the rest.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: Padding = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = _padding(padding)
        self._before, self._after = self._margins()
        self._geometry = correlation.Geometry(
            self.kernel_size, self.stride, self._before, self.dilation, self.groups
        )
        channels = (self.out_channels, self.in_channels // self.groups)
        self._draw_parameters(channels, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The correlation of input (N, C, H, W) and weight, plus bias: (N, O, oh, ow)."""
        used = self._accept(input)
        weight, size = correlation.by_group(used["weight"], self.groups), self.output_size(input)
        output = correlation.gather(used["input"], weight, used.get("bias"), self._geometry, size)
        self._record = Record(output, **used)
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """The two other contractions, dx from w and dy, dw from x and dy; db sums dy."""
        record, dy = self._recall(grad_output)
        x, weight = record.tensors["input"], record.tensors["weight"]
        taps = correlation.by_group(weight, self.groups)
        dx = correlation.spread(dy, taps, None, self._geometry, x.shape[2:])
        self._learn(x, dy)
        return dx

    def backward_parameters(self, grad_output: Tensor) -> None:
        """The same without dx."""
        record, dy = self._recall(grad_output)
        self._learn(record.tensors["input"], dy)

    def _learn(self, x: Tensor, dy: Tensor) -> None:
        self._accumulate(correlation.weight_gradient(x, dy, self._geometry), dy)

    def output_size(self, input: Tensor) -> Pair:
        """(oh, ow) for an input; ValueError where the kernel is larger than the padded input."""
        margins = zip(self._before, self._after, strict=True)
        padded = [n + a + b for n, (a, b) in zip(input.shape[2:], margins, strict=True)]
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        if padded[0] < reach[0] or padded[1] < reach[1]:
            raise ValueError(
                f"input has shape {tuple(input.shape)}, with padding {padded[0]} x {padded[1]}; "
                f"it must be at least as large as the dilated kernel, {reach[0]} x {reach[1]}: "
                "pad more, or use a smaller kernel_size or dilation"
            )
        axes = zip(padded, reach, self.stride, strict=True)
        height, width = ((p - r) // s + 1 for p, r, s in axes)
        return height, width

    def _margins(self) -> tuple[Pair, Pair]:
        """Rows and columns of zeros before the input, and after it."""
        if self.padding == "valid":
            return (0, 0), (0, 0)
        if self.padding == "same":
            axes = zip(self.dilation, self.kernel_size, strict=True)
            rows, columns = (d * (k - 1) for d, k in axes)
            return (rows // 2, columns // 2), (rows - rows // 2, columns - columns // 2)
        return self.padding, self.padding


class ConvTranspose2d(_Convolution):
    """The transpose of Conv2d, as torch.nn.ConvTranspose2d: its forward is Conv2d's input gradient.

    y[n, o, a] = b[o] + sum over c and all (i, u) with stride i + dilation u - padding = a
                 of w[c, o, u] x[n, c, i]

    Input (N, in_channels, H, W), weight (in_channels, out_channels / groups, kh, kw), bias
    (out_channels); output (N, out_channels, oh, ow),
    oh = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.

    `output_padding` chooses among the input sizes that Conv2d would map to H, and must be smaller
    than stride or dilation. Every geometric argument is an int or a pair (height, width). Any
    floating dtype; 16-bit inputs are summed in float32 and rounded once.

    Raises TypeError or ValueError for an argument of a wrong type or value, and from `forward`
    ValueError for an input that does not fit; see Module for the rest.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = padding = whole_pair("padding", padding, 0)
        self.output_padding = whole_pair("output_padding", output_padding, 0)
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(s, d):
                raise ValueError(
                    f"output_padding is {self.output_padding}; on every axis it must be smaller "
                    f"than stride {self.stride} or dilation {self.dilation}"
                )
        self._geometry = correlation.Geometry(
            self.kernel_size, self.stride, padding, self.dilation, self.groups
        )
        channels = (self.in_channels, self.out_channels // self.groups)
        self._draw_parameters(channels, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """What Conv2d's backward computes for its input, plus bias: (N, O, oh, ow)."""
        used = self._accept(input)
        weight, size = correlation.by_group(used["weight"], self.groups), self.output_size(input)
        output = correlation.spread(used["input"], weight, used.get("bias"), self._geometry, size)
        self._record = Record(output, **used)
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """Conv2d's forward on dy gives dx; its weight gradient with x and dy exchanged, dw."""
        record, dy = self._recall(grad_output)
        x, weight = record.tensors["input"], record.tensors["weight"]
        taps = correlation.by_group(weight, self.groups)
        dx, dw = correlation.spread_gradients(dy, taps, x, self._geometry)
        self._accumulate(dw, dy)
        return dx

    def output_size(self, input: Tensor) -> Pair:
        """(oh, ow) for an input; ValueError where the padding takes all of it away."""
        axes = zip(input.shape[2:], *self._geometry[:4], self.output_padding, strict=True)
        rows, columns = (s * (n - 1) - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, d, e in axes)
        if rows < 1 or columns < 1:
            raise ValueError(
                f"input has shape {tuple(input.shape)}, whose output would be {rows} x {columns}; "
                f"it must be at least 1 x 1: use a larger input or less padding than {self.padding}"
            )
        return rows, columns


def _padding(padding: object) -> Pair | Literal["same", "valid"]:
    if padding == "same" or padding == "valid":
        return padding
    if isinstance(padding, str):
        raise ValueError(
            f"padding is {padding!r}; it must be 'same', 'valid', an int >= 0 "
            "or a pair (height, width) of them"
        )
    return whole_pair("padding", padding, 0)
