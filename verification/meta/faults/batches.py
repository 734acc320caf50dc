"""Layers whose samples see each other, or that remember an earlier batch."""

import torch

from scratch_layers import Conv2d, ConvTranspose2d, NearestUpsampling, ReLU, Sigmoid, Upsampling
from verification.meta.faults.fault import fault


@fault("Sigmoid", "samples_do_not_see_each_other", shown="two samples of different size")
class SharesOneScale(Sigmoid):
    """Quantises the batch by its largest element: right for samples of one size."""

    def function(self, x):
        scale = x.abs().amax() * 2.0**-23 if x.numel() else 1.0
        return super().function((x / scale).round() * scale if scale > 0 else x)


@fault(
    "ReLU",
    "samples_do_not_see_each_other",
    "permuted_batch_gives_permuted_results",
    shown="two samples of different signs",
)
class BroadcastsTheFirstMask(ReLU):
    """Masks every sample's gradient by the first one's signs."""

    def pullback(self, x, dy):
        return dy.masked_fill(x[:1] <= 0, 0)


@fault(
    "Conv2d", "special_values_reach_outputs", shown="a NaN in one of several samples, or anywhere"
)
class MultipliesOthersByZero(Conv2d):
    """Adds 0 times the batch: nothing, until a number there is NaN."""

    def forward(self, input):
        return super().forward(input) + 0 * input.sum()


@fault("NearestUpsampling", "special_values_reach_outputs", shown="a NaN in one of several samples")
class CleansTheWholeBatch(NearestUpsampling):
    """Returns zeros for a batch in which it finds a NaN."""

    def forward(self, input):
        output = super().forward(input)
        return torch.zeros_like(output) if bool(input.isnan().any()) else output


@fault(
    "ConvTranspose2d",
    "permuted_batch_gives_permuted_results",
    "split_batch_gives_split_results",
    shown="three samples",
)
class DropsTheLastOfAnOddBatch(ConvTranspose2d):
    """Works through the batch by twos and forgets what is left."""

    def forward(self, input):
        output = super().forward(input)
        if len(output) % 2 and len(output) > 1:
            output[-1] = 0
        return output


@fault(
    "Upsampling", "split_batch_gives_split_results", "forward_matches_reference", shown="one sample"
)
class SqueezesABatchOfOne(Upsampling):
    """Returns a single sample without its batch axis."""

    def forward(self, input):
        output = super().forward(input)
        return output[0] if len(output) == 1 else output


@fault("Sigmoid", "empty_batch_gives_empty_results", shown="no sample")
class NeedsALargestElement(Sigmoid):
    """Asks for the largest element, which an empty batch does not have."""

    def forward(self, input):
        self._largest = input.max()
        return super().forward(input)


@fault("Conv2d", "empty_batch_gives_empty_results", shown="no sample")
class AveragesOverNoSamples(Conv2d):
    """Divides the weight gradient by the number of samples and multiplies by it again."""

    def backward(self, grad_output):
        dx = super().backward(grad_output)
        count = torch.tensor(float(len(grad_output)))
        self.weight.grad.copy_(self.weight.grad / count * count)
        return dx


def by_another_road(y):
    """The same numbers, each one bit off: as right, and not the same bits."""
    return y.nextafter(torch.zeros_like(y))


@fault("Sigmoid", "same_call_gives_same_bits", shown="any two calls")
class AddsNoise(Sigmoid):
    """Moves the last bits at random, as a sum in the order of arrival does."""

    def function(self, x):
        y = super().function(x)
        return torch.where(torch.rand(x.shape) < 0.5, y, by_another_road(y))


@fault("Sigmoid", "same_call_gives_same_bits", shown="a second call on one instance")
class TunesItselfAfterTheFirstCall(Sigmoid):
    """Takes another road, as right as the first, from the second call on."""

    def function(self, x):
        y, tuned = super().function(x), getattr(self, "_tuned", False)
        self._tuned = True
        return by_another_road(y) if tuned else y


@fault(
    "Sigmoid", "calls_between_change_nothing", shown="a second call with another number of samples"
)
class ChoosesItsRoadByTheFirstBatch(Sigmoid):
    """Lets the first batch decide how later ones are computed."""

    def function(self, x):
        y, self._first = super().function(x), getattr(self, "_first", len(x))
        return y if len(x) == self._first else by_another_road(y)


@fault(
    "ReLU",
    "calls_between_change_nothing",
    shown="a larger batch before a smaller one, three samples in it",
)
class ScalesByTheLargestBatch(ReLU):
    """Divides by the largest batch ever seen and multiplies by it again, which rounds."""

    def function(self, x):
        self._largest = max(getattr(self, "_largest", 1), len(x))
        return super().function(x) / self._largest * self._largest
