"""Convolutions that compute something else."""

import copy

import torch
import torch.nn.functional as F

import scratch_layers.convolution as right
from scratch_layers import Conv2d, ConvTranspose2d, FusedUpsampling, Parameter, fused_upsampling
from verification.meta.faults.fault import fault

ALL_GRADIENTS = (
    "gradients_match_reference",
    "results_are_exact_on_integers",
    "gradients_match_finite_differences",
)
FORWARD = ("forward_matches_reference", "results_are_exact_on_integers")


def twin(layer, **changes):
    """The right layer with some of this one's attributes changed, before any call."""
    other = copy.copy(layer)
    other.__class__ = next(c for c in type(layer).__mro__ if c.__module__ == right.__name__)
    vars(other).update(changes, _record=None)
    return other


@fault(
    "Conv2d", *ALL_GRADIENTS, "input_gradient_is_adjoint", shown="a kernel that is not symmetric"
)
class DoesNotFlipTheKernel(Conv2d):
    """Correlates the cotangent with the kernel, where the transpose convolves."""

    def backward(self, grad_output):
        flipped = twin(self, weight=Parameter(self.weight.data.flip(2, 3)), bias=None)
        flipped.forward(self._record.tensors["input"])
        super().backward(grad_output)
        return flipped.backward(grad_output)


@fault(
    "Conv2d",
    *ALL_GRADIENTS,
    "input_gradient_is_adjoint",
    seen="#25101",
    shown="a stride that leaves a remainder (kernel 5, stride 3, padding 1)",
)
class PutsTheRemainderFirst(Conv2d):
    """Takes the rows that no window of the last stride reaches for the first ones."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        span = self._geometry.span(grad_output.shape[2:], self.kernel_size)
        before, after = self._margins()
        rest = dx.shape[2] + before[0] + after[0] - span[0]
        return dx.roll(rest, 2)


@fault(
    "Conv2d",
    *ALL_GRADIENTS,
    "parameter_gradients_are_adjoint",
    seen="#50042",
    shown="groups = channels > 1",
)
class DropsTheLastRowOfADepthwiseKernel(Conv2d):
    """Leaves the last row of a depthwise weight gradient at zero."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        if self.groups == self.in_channels > 1:
            self.weight.grad[:, :, -1] = 0
        return dx


@fault("Conv2d", *ALL_GRADIENTS, seen="#68868", shown="groups > 1 and stride > kernel")
class ForgetsGroupsWiderThanTheKernel(Conv2d):
    """Gives every group the first one's weight gradient when the stride exceeds the kernel."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        if self.groups > 1 and self.stride[1] > self.kernel_size[1]:
            grad = self.weight.grad
            size = len(grad) // self.groups
            grad.copy_(grad[:size].repeat(self.groups, 1, 1, 1))
        return dx


@fault(
    "Conv2d",
    *ALL_GRADIENTS,
    "input_gradient_is_adjoint",
    seen="mlx #3800",
    shown="groups > 1 and stride > 1",
)
class MixesStridedGroups(Conv2d):
    """Hands the groups' input gradients to their neighbours when stride and groups exceed 1."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        if self.groups > 1 and max(self.stride) > 1:
            return dx.roll(self.in_channels // self.groups, 1)
        return dx


@fault(
    "Conv2d",
    *FORWARD,
    seen="tinygrad #17805",
    shown="padding 'same', dilations that differ, a kernel above 1",
)
class SwapsTheDilationsOfSame(Conv2d):
    """Pads 'same' rows by the columns' dilation, and columns by the rows'."""

    def __init__(self, *arguments, padding=0, dilation=1, **options):
        super().__init__(*arguments, padding=padding, dilation=dilation, **options)
        if padding == "same":
            rows, columns = self.dilation
            wrong = [columns * (self.kernel_size[0] - 1), rows * (self.kernel_size[1] - 1)]
            before = tuple(total // 2 for total in wrong)
            self._geometry = self._geometry._replace(padding=before)


@fault(
    "Conv2d",
    *ALL_GRADIENTS,
    "parameter_gradients_are_adjoint",
    "split_batch_gives_split_results",
    shown="two samples and a bias",
)
class BiasGradientOfOneSample(Conv2d):
    """Sums the bias gradient over space and forgets the batch, as the report's eq. 3 does."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        if self.bias is not None:
            self.bias.grad -= grad_output[1:].sum((0, 2, 3))
        return dx


@fault("Conv2d", *ALL_GRADIENTS, "split_batch_gives_split_results", shown="two samples")
class DividesByTheBatch(Conv2d):
    """Averages the weight gradient over the batch."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        self.weight.grad /= len(grad_output)
        return dx


@fault(
    "Conv2d",
    "results_are_exact_on_integers",
    "forward_matches_reference",
    shown="a weight with more than 8 significant bits",
)
class MultipliesInSixteenBits(Conv2d):
    """Rounds the weight to bfloat16, as a tensor core may without being asked."""

    def forward(self, input):
        rounded = Parameter(self.weight.data.bfloat16().to(self.weight.data.dtype))
        output = twin(self, weight=rounded).forward(input)
        super().forward(input)
        return output


@fault(
    "Conv2d",
    "results_are_exact_on_integers",
    shown="integers, and a number of terms that is no power of two",
)
class DividesAndMultipliesBack(Conv2d):
    """Averages over the terms and multiplies by their number: off by less than rounding may be."""

    def forward(self, input):
        terms = self.weight.data[0].numel()
        return super().forward(input) / terms * terms


@fault("Conv2d", "forward_superposes_in_input", *FORWARD, shown="an output beyond 127")
class SaturatesTheOutput(Conv2d):
    """Clips the output to what eight bits hold."""

    def forward(self, input):
        return super().forward(input).clamp(-128, 127)


@fault("Conv2d", "forward_superposes_in_parameters", *FORWARD, shown="weights of different sizes")
class PrunesSmallWeights(Conv2d):
    """Drops the weights below the mean."""

    def forward(self, input):
        weight = self.weight.data
        kept = Parameter(weight * (weight.abs() >= weight.abs().mean()))
        output = twin(self, weight=kept).forward(input)
        super().forward(input)
        return output


@fault("Conv2d", "forward_superposes_in_input", shown="a negative input")
class RectifiesTheInput(Conv2d):
    """Fuses a ReLU that nobody asked for."""

    def forward(self, input):
        return super().forward(input.clamp(min=0))


@fault("Conv2d", "forward_superposes_in_parameters", shown="a weight above 1")
class NormalisesTheWeight(Conv2d):
    """Divides the weight by its largest element."""

    def forward(self, input):
        weight = self.weight.data
        scaled = Parameter(weight / weight.abs().max().clamp(min=1))
        output = twin(self, weight=scaled).forward(input)
        super().forward(input)
        return output


@fault(
    "Conv2d",
    "backward_is_linear_in_cotangent",
    "gradients_match_reference",
    shown="an input gradient beyond 1",
)
class ClipsTheGradient(Conv2d):
    """Clips the input gradient to its usual size."""

    def backward(self, grad_output):
        return super().backward(grad_output).clamp(-1, 1)


@fault("ConvTranspose2d", *FORWARD, shown="output_padding > 0 and a bias")
class ForgetsTheBiasOfTheExtraRows(ConvTranspose2d):
    """Gives no bias to the rows that output_padding adds."""

    def forward(self, input):
        output = super().forward(input)
        extra = self.output_padding[0]
        if extra and self.bias is not None:
            output[:, :, -extra:] -= self.bias.data.view(-1, 1, 1)
        return output


@fault(
    "ConvTranspose2d",
    *ALL_GRADIENTS,
    "input_gradient_is_adjoint",
    seen="#1565",
    shown="dilation > 1 and a kernel above 1",
)
class ForgetsTheDilationInBackward(ConvTranspose2d):
    """Reads the cotangent through a kernel without its holes."""

    def backward(self, grad_output):
        height, width = super().backward(grad_output).shape[2:]
        weight, groups = self.weight.data, self.groups
        dense = F.conv2d(grad_output, weight, None, self.stride, self.padding, 1, groups)
        return dense[:, :, :height, :width].contiguous()


@fault("Conv2d", *ALL_GRADIENTS, "split_batch_gives_split_results", shown="two samples")
class WeightGradientOfOneSample(Conv2d):
    """Has the first sample's weight gradient for that of the batch."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        one = twin(self, weight=Parameter(self.weight.data), bias=None)
        one.forward(self._record.tensors["input"][:1])
        one.backward(grad_output[:1])
        self.weight.grad.copy_(one.weight.grad)
        return dx


@fault("Conv2d", *FORWARD, shown="strides that differ")
class SwapsTheStrides(Conv2d):
    """Steps down by the columns' stride, and across by the rows'."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.stride = self.stride[::-1]
        self._geometry = self._geometry._replace(stride=self.stride)


@fault("Conv2d", *FORWARD, shown="a stride that leaves a remainder")
class CountsAWindowMore(Conv2d):
    """Rounds the number of positions up, over zeros that the padding does not give."""

    def output_size(self, input):
        height, width = super().output_size(input)
        rest = input.shape[2] + sum(m[0] for m in self._margins())
        rest -= self.dilation[0] * (self.kernel_size[0] - 1) + 1
        return height + bool(rest % self.stride[0]), width


@fault("Conv2d", *FORWARD, shown="groups > 1 and a bias")
class BiasOfTheFirstGroup(Conv2d):
    """Gives every group the first one's bias."""

    def forward(self, input):
        if self.bias is None or self.groups == 1:
            return super().forward(input)
        first = self.bias.data[: self.out_channels // self.groups].repeat(self.groups)
        output = twin(self, bias=Parameter(first)).forward(input)
        super().forward(input)
        return output


@fault("ConvTranspose2d", *FORWARD, seen="#14272", shown="dilation > 1 and a kernel above 1")
class ForgetsTheDilationInTheSize(ConvTranspose2d):
    """Cuts the output to the size that it would have without dilation."""

    def forward(self, input):
        output = super().forward(input)
        (height, width), dilation = output.shape[2:], self.dilation
        lost = [(d - 1) * (k - 1) for d, k in zip(dilation, self.kernel_size, strict=True)]
        return output[:, :, : max(1, height - lost[0]), : max(1, width - lost[1])].clone()


@fault(
    "ConvTranspose2d",
    *ALL_GRADIENTS,
    "input_gradient_is_adjoint",
    seen="candle #2337",
    shown="stride and dilation that differ",
)
class SwapsStrideAndDilationInBackward(ConvTranspose2d):
    """Hands stride and dilation to the convolution of its backward in the other order."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        up, left = self.padding
        # Enough zeros that any kernel fits; what is too much is cut away again.
        dy = F.pad(grad_output, (left, 32, up, 32))
        options = self.dilation, 0, self.stride, self.groups
        wrong = F.conv2d(dy, self.weight.data, None, *options)
        return wrong[:, :, : dx.shape[2], : dx.shape[3]].contiguous()


@fault("ConvTranspose2d", *FORWARD, shown="a kernel that is not symmetric")
class CorrelatesForward(ConvTranspose2d):
    """Flips the kernel in the forward, as a convolution of the signal processors would."""

    def forward(self, input):
        flipped = Parameter(self.weight.data.flip(2, 3))
        output = twin(self, weight=flipped).forward(input)
        super().forward(input)
        return output


@fault("ConvTranspose2d", *FORWARD, shown="output_padding > 0")
class AddsOutputPaddingBefore(ConvTranspose2d):
    """Adds the rows of output_padding above instead of below."""

    def forward(self, input):
        return super().forward(input).roll(self.output_padding[0], 2)


@fault("FusedUpsampling", *FORWARD, shown="kernels, scales or dilations that differ")
class SumsColumnsForRows(FusedUpsampling):
    """Takes the sums of taps along the columns for those along the rows."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        axes = zip(self.scale_factor, self.dilation, self.kernel_size, strict=True)
        rows, columns = (fused_upsampling._sums(*axis) for axis in axes)
        self._sums = torch.kron(columns, rows)
