"""Functions of tensors: autograd.Functions, custom operators, plain functions, a pair."""

import torch
import torch.nn.functional as F


class ConvFunction(torch.autograd.Function):
    """A convolution with the context as its first argument."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride):
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.has_bias = stride, bias is not None
        return F.conv2d(x, weight, bias, stride)

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        dx = torch.nn.grad.conv2d_input(x.shape, weight, g, ctx.stride)
        dw = torch.nn.grad.conv2d_weight(x, weight.shape, g, ctx.stride)
        return dx, dw, g.sum((0, 2, 3)) if ctx.has_bias else None, None


class ConvFunctionWrong(ConvFunction):
    @staticmethod
    def backward(ctx, g):
        dx, dw, db, *rest = ConvFunction.backward(ctx, g)
        return dx, dw.flip(3), db, *rest


class Leaky(torch.autograd.Function):
    """A leaky ReLU whose context is set up apart."""

    @staticmethod
    def forward(x, negative_slope):
        return torch.where(x > 0, x, negative_slope * x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.slope = inputs[1]

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, g, ctx.slope * g), None


class LeakyWrong(Leaky):
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, g, 0 * g), None


def _register(name, backward_factor):
    @torch.library.custom_op(f"verification_meta::{name}", mutates_args=())
    def linear(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
        y = x @ w.T
        return y if b is None else y + b

    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs[:2])
        ctx.has_bias = inputs[2] is not None

    def backward(ctx, g):
        x, w = ctx.saved_tensors
        dw = backward_factor * g.flatten(0, -2).T @ x.flatten(0, -2)
        return g @ w, dw, g.flatten(0, -2).sum(0) if ctx.has_bias else None

    linear.register_autograd(backward, setup_context=setup_context)
    return linear


custom_linear = _register("linear", 1)
custom_linear_wrong = _register("linear_wrong", -1)


def fused_linear(x, kernel, shift=None):
    """The launcher of a kernel that takes its weight as in x out."""
    y = x.matmul(kernel)
    return y if shift is None else y + shift


def fused_linear_wrong(x, kernel, shift=None):
    return fused_linear(x, kernel, None if shift is None else shift * (x.shape[0] < 3))


def linear_forward(x, w, b):
    return x @ w.t() + b


def linear_backward(grad_out, x, w, b):
    rows = grad_out.flatten(0, -2)
    return grad_out @ w, rows.t() @ x.flatten(0, -2), rows.sum(0)


def linear_backward_wrong(grad_out, x, w, b):
    dx, dw, db = linear_backward(grad_out, x, w, b)
    return dx, dw.t().reshape(dw.shape), db
