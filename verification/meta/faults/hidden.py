"""Faults that hide on purpose: each is right but for one corner of its configurations."""

import torch

from scratch_layers import Conv2d, ConvTranspose2d, Parameter, ReLU, Sigmoid
from verification.meta.faults.convolution import FORWARD, twin
from verification.meta.faults.fault import fault


@fault("Conv2d", *FORWARD, shown="kernel = stride = dilation > 1 on the first axis")
class WrongWhereThreeAgree(Conv2d):
    """Drops a row's last tap where kernel, stride and dilation are one number above 1."""

    def forward(self, input):
        output = super().forward(input)
        if not self.kernel_size[0] == self.stride[0] == self.dilation[0] > 1:
            return output
        weight = self.weight.data.clone()
        weight[:, :, -1] = 0
        return twin(self, weight=Parameter(weight)).forward(input)


@fault("Sigmoid", "latest_forward_counts", shown="a shape, another one, and the first again")
class WrongAtTheSecondCallOfAShape(Sigmoid):
    """Answers for the first call's numbers when a shape comes a second time after another one."""

    def forward(self, input):
        seen = vars(self).setdefault("_seen", {})
        between = bool(seen) and next(reversed(seen)) != input.shape
        if between and input.shape in seen:
            return super().forward(seen[input.shape])
        seen[input.shape] = input.clone()
        return super().forward(input)


@fault("ReLU", "forward_matches_reference", shown="one pattern of the last ten bits")
class WrongForOneValueInAThousand(ReLU):
    """Loses the positive numbers whose last ten bits are one pattern."""

    def function(self, x):
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        bits = x.to(wide).view(torch.int64 if wide == torch.float64 else torch.int32)
        return x.clamp(min=0).masked_fill(bits & 1023 == 513, 0)


@fault("Conv2d", *FORWARD, shown="more than 512 channels a group")
class WrongBeyond512Channels(Conv2d):
    """Sums 512 channels and forgets the others."""

    def forward(self, input):
        output = super().forward(input)
        if self.in_channels // self.groups <= 512:
            return output
        weight = self.weight.data.clone()
        weight[:, 512:] = 0
        return twin(self, weight=Parameter(weight)).forward(input)


@fault(
    "ConvTranspose2d",
    "layouts_change_nothing",
    shown="a weight with its last two axes exchanged in memory, square kernels",
)
class WrongForOneLayoutOfTheWeight(ConvTranspose2d):
    """Reads a weight whose kernels are transposed in memory as if they were not."""

    def forward(self, input):
        weight = self.weight.data
        if weight.stride(2) < weight.stride(3) and weight.shape[2] == weight.shape[3]:
            self.weight.data = weight.transpose(2, 3)
        return super().forward(input)
