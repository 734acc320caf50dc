"""Wrong twins of the layers that look at images, sequences and tables, and of the optimisers."""

import torch
import torch.nn.functional as F
from torch import nn, optim

from verification.meta.wrong_twins.wrong import Wrong, computing, giving, taking
from verification.references.rows import attention, recurrent


def is_square(weight):
    return weight.shape[0] == weight.shape[1]


def other_way(amounts):
    """One amount an axis in the wrong order."""
    return amounts[::-1] if isinstance(amounts, tuple) else amounts


def other_sides(amounts):
    """The padding before and after each axis exchanged."""
    if not isinstance(amounts, tuple):
        return amounts
    return tuple(amounts[place ^ 1] for place in range(len(amounts)))


def padded_with_zeros(self, x):
    """Pads with zeros, which are larger than what is negative."""
    amounts = self.padding if isinstance(self.padding, tuple) else (self.padding,) * (x.ndim - 2)
    x = F.pad(x, [amount for each in reversed(amounts) for amount in (each, each)])
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
    return pool(x, self.kernel_size, self.stride, 0, self.dilation, self.ceil_mode)


def uneven_parts(self, x):
    """Parts that do not overlap where they do not divide the axis."""
    n, m = x.shape[-1], self.output_size
    starts = [i * n // m for i in range(m)]
    ends = [max(start + 1, (i + 1) * n // m) for i, start in enumerate(starts)]
    return torch.stack([x[..., a:b].mean(-1) for a, b in zip(starts, ends, strict=True)], -1)


def channels_last_in_square(self, x):
    """Takes the place in a square for the slower axis of the channels."""
    squares = x.unflatten(1, (self.upscale_factor**2, -1)).transpose(1, 2)
    return F.pixel_shuffle(squares.flatten(1, 2), self.upscale_factor)


def turned_squares(self, x):
    """Reads each square column by column."""
    return F.pixel_unshuffle(x.mT, self.downscale_factor).mT


def averaged_overlaps(self, image):
    """Divides by the number of columns that a pixel is in."""
    columns = nn.Unfold(self.kernel_size, self.dilation, self.padding, self.stride)
    count = nn.Fold.forward(self, columns(torch.ones_like(image)))
    return image / count.clamp(min=1)


def causal_from_the_end(self, query, key, value, attn_mask=None):
    """Lets the last query see the last key, and the others as many fewer."""
    if self.is_causal:
        looks = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool)
        attn_mask = looks.tril(key.shape[-2] - query.shape[-2])
    return F.scaled_dot_product_attention(query, key, value, attn_mask, scale=self.scale)


def without_first_state(self, input, *states):
    """Starts from zeros whatever it is given."""
    return recurrent.RNN.forward(self, input)


def swapped_states(self, outputs):
    output, h_n, c_n = outputs
    return output, c_n, h_n


def turned_states(self, outputs):
    output, h_n = outputs
    return output, h_n.flip(0)


def dropping(drop):
    """The constructor of a layer that drops in training alone."""

    def build(p, training):
        forward = {"forward": lambda self, x: drop(x, p if training else 0.0)}
        return type("Dropout", (nn.Module,), forward)()

    return build


def unscaled(x, p):
    return F.dropout(x, p) * (1 - p)


class TwoMasks(torch.autograd.Function):
    """Draws one mask for the output and one for the gradient."""

    @staticmethod
    def forward(ctx, x, p):
        ctx.p = p
        return F.dropout(x, p)

    @staticmethod
    def backward(ctx, gradient):
        return F.dropout(gradient, ctx.p), None


class AlwaysTheFirstStep(optim.Adam):
    """Corrects the bias of each step as if it were the first."""

    def step(self):
        for state in self.state.values():
            state["step"].zero_()
        super().step()


class DampensAtOnce(optim.SGD):
    """Dampens the first gradient too."""

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if group["momentum"] and p not in self.state:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        super().step()


LAYERS = [
    Wrong(
        "Linear",
        "transposes a square weight",
        computing(
            nn.Linear,
            lambda self, x: F.linear(
                x, self.weight.T if is_square(self.weight) else self.weight, self.bias
            ),
        ),
    ),
    *(
        Wrong(
            f"Conv{dims}d",
            "convolves instead of correlating",
            computing(
                getattr(nn, f"Conv{dims}d"),
                lambda self, x: self._conv_forward(x, self.weight.flip(2), self.bias),
            ),
        )
        for dims in (1, 2, 3)
    ),
    Wrong(
        "Conv2d", "exchanges strides", taking(nn.Conv2d, stride=lambda a: other_way(a["stride"]))
    ),
    *(
        Wrong(
            f"ConvTranspose{dims}d",
            "ignores output padding",
            taking(getattr(nn, f"ConvTranspose{dims}d"), output_padding=lambda a: 0),
        )
        for dims in (1, 2, 3)
    ),
    *(
        Wrong(
            f"MaxPool{dims}d",
            "pads with zeros",
            computing(getattr(nn, f"MaxPool{dims}d"), padded_with_zeros),
        )
        for dims in (1, 2, 3)
    ),
    *(
        Wrong(
            f"AvgPool{dims}d",
            "divides by what lies in the image",
            taking(getattr(nn, f"AvgPool{dims}d"), count_include_pad=lambda a: False),
        )
        for dims in (1, 2, 3)
    ),
    Wrong("AvgPool2d", "rounds sizes down", taking(nn.AvgPool2d, ceil_mode=lambda a: False)),
    Wrong(
        "AvgPool2d", "ignores the divisor", taking(nn.AvgPool2d, divisor_override=lambda a: None)
    ),
    Wrong(
        "AdaptiveAvgPool1d", "parts overlap nowhere", computing(nn.AdaptiveAvgPool1d, uneven_parts)
    ),
    *(
        Wrong(
            f"Adaptive{kind}Pool{dims}d",
            "exchanges the axes",
            taking(
                getattr(nn, f"Adaptive{kind}Pool{dims}d"),
                output_size=lambda a: other_way(a["output_size"]),
            ),
        )
        for kind in ("Avg", "Max")
        for dims in (2, 3)
    ),
    Wrong(
        "AdaptiveMaxPool1d",
        "averages",
        lambda output_size: nn.AdaptiveAvgPool1d(output_size),
    ),
    Wrong(
        "Upsample",
        "never aligns the corners",
        taking(nn.Upsample, align_corners=lambda a: False if "linear" in a["mode"] else None),
    ),
    Wrong(
        "Upsample",
        "takes one nearest rule for the other",
        taking(nn.Upsample, mode=lambda a: a["mode"].replace("nearest-exact", "nearest")),
    ),
    *(
        Wrong(
            f"{kind}Pad{dims}d",
            "exchanges the sides",
            taking(getattr(nn, f"{kind}Pad{dims}d"), padding=lambda a: other_sides(a["padding"])),
        )
        for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular")
        for dims in (1, 2, 3)
    ),
    Wrong("ConstantPad2d", "pads with zeros", taking(nn.ConstantPad2d, value=lambda a: 0.0)),
    Wrong("Unfold", "ignores dilation", taking(nn.Unfold, dilation=lambda a: 1)),
    Wrong("Fold", "averages overlaps", giving(nn.Fold, averaged_overlaps)),
    Wrong(
        "PixelShuffle",
        "takes the channels' axes in the other order",
        computing(nn.PixelShuffle, channels_last_in_square),
    ),
    Wrong("PixelUnshuffle", "reads columns first", computing(nn.PixelUnshuffle, turned_squares)),
    Wrong("Dropout", "does not scale", dropping(unscaled)),
    Wrong("Dropout", "draws another mask for the gradient", dropping(TwoMasks.apply)),
    Wrong("Dropout", "drops nothing", lambda p, training: nn.Identity()),
    Wrong("Embedding", "learns its padding", taking(nn.Embedding, padding_idx=lambda a: None)),
    Wrong(
        "ScaledDotProductAttention",
        "ends the causal mask at the last key",
        computing(attention.ScaledDotProductAttention, causal_from_the_end),
    ),
    Wrong(
        "ScaledDotProductAttention",
        "ignores the scale",
        taking(attention.ScaledDotProductAttention, scale=lambda a: None),
    ),
    Wrong("RNN", "forgets its first state", computing(recurrent.RNN, without_first_state)),
    Wrong("RNN", "ignores the nonlinearity", taking(recurrent.RNN, nonlinearity=lambda a: "tanh")),
    Wrong("LSTM", "exchanges its states", giving(recurrent.LSTM, swapped_states)),
    Wrong("GRU", "returns the layers' states in reverse", giving(recurrent.GRU, turned_states)),
    Wrong("TorchSGD", "ignores Nesterov", taking(optim.SGD, nesterov=lambda a: False)),
    Wrong("TorchSGD", "dampens the first step", DampensAtOnce),
    Wrong("SGD", "ignores momentum", taking(optim.SGD, momentum=lambda a: 0.0)),
    Wrong("Adam", "corrects each step as the first", AlwaysTheFirstStep),
    Wrong("Adam", "decays the weights", optim.AdamW),
    Wrong("Adam", "forgets the largest", taking(optim.Adam, amsgrad=lambda a: False)),
    Wrong("AdamW", "adds the decay to the gradient", optim.Adam),
    Wrong("RMSprop", "centres nothing", taking(optim.RMSprop, centered=lambda a: False)),
]
