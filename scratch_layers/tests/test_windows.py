"""Chunks, phases and plans: however a convolution is cut up, its results are those of the loops."""

import threading

import pytest
import torch

from scratch_layers import (
    Conv2d,
    ConvTranspose2d,
    FusedUpsampling,
    Upsampling,
    loops,
    windows,
)

GEOMETRIES = [
    {"kernel_size": (3, 2), "padding": (1, 2)},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (2, 0), "groups": 2},
    {"kernel_size": (2, 4), "stride": (4, 2), "padding": (0, 3), "dilation": (3, 2)},
    {"kernel_size": (1, 1), "stride": (3, 2)},
    {"kernel_size": (2, 3), "stride": (3, 1), "padding": 1, "dilation": (2, 3), "groups": 4},
]
# One line of positions, some lines of one sample, some samples and all of them at a time.
CHUNK_BYTES = [1, 1000, 6000, 1 << 20]


def integers(*shape, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 4, shape, generator=draw).to(dtype)


def run(layer, x, seed=3):
    """Output and all gradients, for parameters and a cotangent of small integers."""
    for i, parameter in enumerate(layer.parameters()):
        parameter.data = integers(*parameter.data.shape, seed=i + 1, dtype=x.dtype)
    output = layer.forward(x)
    grad_input = layer.backward(integers(*output.shape, seed=seed, dtype=x.dtype))
    return [output, grad_input, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("chunk_bytes", CHUNK_BYTES)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_conv2d_in_chunks_equals_the_loops(geometry, chunk_bytes, monkeypatch):
    monkeypatch.setattr(windows, "CHUNK_BYTES", chunk_bytes)
    layer, x = Conv2d(4, 8, dtype=torch.float64, **geometry), integers(5, 4, 9, 8)
    output, *gradients = run(layer, x)
    weight, bias = (parameter.data for parameter in layer.parameters())
    options = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
    assert torch.equal(output, loops.conv2d_forward(x, weight, bias, **options))
    cotangent = integers(*output.shape, seed=3)
    expected = loops.conv2d_backward(x, weight, cotangent, **options)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))


@pytest.mark.parametrize("chunk_bytes", CHUNK_BYTES[:-1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("build", [Conv2d, ConvTranspose2d])
def test_every_dtype_gives_the_same_in_chunks(build, dtype, chunk_bytes, monkeypatch):
    x = integers(5, 4, 6, 7, dtype=dtype)
    layer = lambda: build(4, 2, (3, 2), stride=(1, 2), groups=2, dtype=dtype)  # noqa: E731
    whole = run(layer(), x)
    monkeypatch.setattr(windows, "CHUNK_BYTES", chunk_bytes)
    assert all(torch.equal(a, b) for a, b in zip(run(layer(), x), whole, strict=True))


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "expanded"])
def test_any_layout_is_laid_on_the_ground(layout):
    x = integers(3, 4, 6, 6)
    y = {
        "channels_last": lambda: x.contiguous(memory_format=torch.channels_last),
        "transposed": lambda: x.transpose(2, 3).contiguous().transpose(2, 3),
        "expanded": lambda: x[:1].expand(3, -1, -1, -1),
    }[layout]()
    results = zip(
        run(Conv2d(4, 2, 3).to(dtype=x.dtype), y),
        run(Conv2d(4, 2, 3).to(dtype=x.dtype), y.clone(memory_format=torch.contiguous_format)),
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in results)


def test_a_plan_made_in_inference_mode_serves_outside_it_too():
    windows._kept.__dict__.clear()
    x = integers(2, 4, 5, 5)
    with torch.inference_mode():
        inside = run(Conv2d(4, 2, 3, padding=1).to(dtype=x.dtype), x)
    outside = run(Conv2d(4, 2, 3, padding=1).to(dtype=x.dtype), x)
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))


@pytest.mark.parametrize("size", [5, 16])
def test_a_plan_carries_nothing_from_call_to_call(size):
    """With 16 x 16 positions a row of the windows ends with spare numbers."""
    x = integers(2, 4, size, size)
    layer = Conv2d(4, 2, 3, padding=1).to(dtype=x.dtype)
    expected = [tensor.clone() for tensor in run(layer, x)]
    spoiled = Conv2d(4, 2, 3, padding=1).to(dtype=x.dtype)
    for width in (size, size + 1):
        run(spoiled, torch.full((2, 4, size, width), torch.nan, dtype=x.dtype))
        layer.zero_grad()
        assert all(torch.equal(a, b) for a, b in zip(run(layer, x), expected, strict=True))


def test_few_plans_are_kept(monkeypatch):
    monkeypatch.setattr(windows, "PLANS_KEPT", 4)
    windows._kept.__dict__.clear()
    for size in range(3, 20):
        Conv2d(1, 1, 3)(torch.zeros(1, 1, size, size))
    assert len(windows._kept.plans) <= 4


def test_large_plans_are_not_kept(monkeypatch):
    monkeypatch.setattr(windows, "PLAN_BYTES", 1000)
    windows._kept.__dict__.clear()
    Conv2d(1, 1, 3)(torch.zeros(1, 1, 9, 9))
    assert len(windows._kept.plans) == 1
    Conv2d(1, 1, 3)(torch.zeros(1, 1, 20, 20))
    assert len(windows._kept.plans) == 1
    # A single line of positions that does not fit in a chunk has memory of its own.
    monkeypatch.setattr(windows, "CHUNK_BYTES", 400)
    Conv2d(1, 1, 3, padding=1)(torch.zeros(1, 1, 1, 30))
    assert len(windows._kept.plans) == 1


def test_threads_do_not_share_their_grounds():
    layers = [Conv2d(3, 4, 3, padding=1, dtype=torch.float64) for _ in range(4)]
    pictures = [integers(6, 3, 12, 12, seed=i) for i in range(4)]
    expected = [run(layer, x) for layer, x in zip(layers, pictures, strict=True)]
    wrong = []

    def work(layer, x, truth):
        for _ in range(50):
            layer.zero_grad()
            if not all(torch.equal(a, b) for a, b in zip(run(layer, x), truth, strict=True)):
                wrong.append(layer)

    copies = [[tensor.clone() for tensor in truth] for truth in expected]
    threads = [
        threading.Thread(target=work, args=each)
        for each in zip(layers, pictures, copies, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("scale", [1, 2, (3, 2)], ids=str)
@pytest.mark.parametrize(
    "geometry",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (2, 4), "padding": (0, 5)},
        {"kernel_size": (3, 2), "padding": "same", "dilation": (2, 3)},
    ],
    ids=str,
)
def test_fused_upsampling_equals_upsampling(geometry, scale, groups):
    options = {"scale_factor": scale, "groups": groups, "dtype": torch.float64, **geometry}
    x = integers(3, 4, 5, 6)
    fused = run(FusedUpsampling(4, 2, **options), x)
    apart = run(Upsampling(4, 2, **options), x)
    assert all(torch.equal(a, b) for a, b in zip(fused, apart, strict=True))


@pytest.mark.parametrize("scale", [1.5, 0, (2, 2.0), True])
def test_fused_upsampling_takes_whole_scales_only(scale):
    with pytest.raises((TypeError, ValueError), match="scale_factor"):
        FusedUpsampling(1, 1, 3, scale)
