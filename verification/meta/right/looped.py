"""The report's nested loops, shipped as its baseline, as layers under the contract."""

from scratch_layers import NearestUpsampling, loops
from scratch_layers.checks import image_batch, working_dtype
from scratch_layers.module import Record
from verification.meta.right.convolution import Road


class ByLoops(Road):
    """A convolution one position at a time: groups and bias too, and padding that is the same on
    both sides.
    """

    def forward(self, input):
        used = self._accept(input)
        x = used["input"]
        self.output_size(x)
        picture, padding = self._padded(x)
        _, *held = (t.to(picture.dtype) for t in used.values())
        bias = held[1] if len(held) > 1 else None
        y = loops.conv2d_forward(picture, held[0], bias, **self._unusual(padding)).to(x.dtype)
        self._record = Record(y, **used)
        return y

    def backward(self, grad_output):
        record, dy = self._recall(grad_output)
        x, weight = record.tensors["input"], record.tensors["weight"]
        picture, padding = self._padded(x)
        wide = weight.to(picture.dtype), dy.to(picture.dtype)
        dx, dw, db = loops.conv2d_backward(picture, *wide, **self._unusual(padding))
        self.weight.grad += dw.to(x.dtype)
        if self.bias is not None:
            self.bias.grad += db.to(x.dtype)
        if dx.shape != x.shape:
            (up, left), (height, width) = self._before, x.shape[2:]
            dx = dx[:, :, up : up + height, left : left + width]
        return dx.to(x.dtype, copy=True).contiguous()

    def _unusual(self, padding):
        """The arguments that are not what the loops take for granted, as Conv2d does."""
        usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        ours = {name: getattr(self, name) for name in usual} | {"padding": padding}
        return {name: value for name, value in ours.items() if value != usual[name]}

    def _padded(self, x):
        """A wide picture, and the padding that is left to the loops."""
        if self._before == self._after:
            return x.to(working_dtype(x.dtype)), self._before
        return self.pad(x), (0, 0)


class NearestByLoops(NearestUpsampling):
    """Nearest upsampling one pixel at a time."""

    def forward(self, input):
        x = image_batch("input", input).detach()
        self.output_size(x)
        output = loops.nearest_upsampling_forward(x, self.scale_factor)
        self._record = Record(output, input=x)
        return output

    def backward(self, grad_output):
        record, dy = self._recall(grad_output)
        wide = working_dtype(dy.dtype)
        x = record.tensors["input"].to(wide)
        return loops.nearest_upsampling_backward(x, dy.to(wide), self.scale_factor).to(dy.dtype)
