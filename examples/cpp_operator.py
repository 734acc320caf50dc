"""A leaky ReLU in C++, built with torch.utils.cpp_extension when it is imported: needs a compiler.

The seeded fault: the loop of the backward ends at a whole number of eights, as a vectorised loop
without its tail does.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.cpp_extension import load_inline

SOURCE = """
torch::Tensor leaky_forward(torch::Tensor x, double slope) {
  return torch::where(x > 0, x, slope * x);
}

torch::Tensor leaky_backward(torch::Tensor grad_output, torch::Tensor x, double slope) {
  auto g = grad_output.contiguous(), in = x.contiguous();
  auto result = g.clone();
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "leaky_backward", [&] {
    auto r = result.data_ptr<scalar_t>();
    auto v = in.data_ptr<scalar_t>();
    for (int64_t i = 0; i < result.numel() / 8 * 8; ++i)
      if (v[i] <= 0) r[i] *= slope;
  });
  return result;
}
"""

kernels = load_inline(
    "verification_examples_leaky", SOURCE, functions=["leaky_forward", "leaky_backward"]
)


class LeakyReLU(torch.autograd.Function):
    """y = x for x > 0, else slope x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, negative_slope: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = negative_slope
        return kernels.leaky_forward(x, negative_slope)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return kernels.leaky_backward(grad_output, x, ctx.slope), None
