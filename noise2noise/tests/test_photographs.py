"""The photographs lie inside the wheel, the split is clean, and the noisy pairs are independent."""

import math
import socket
from importlib.metadata import files
from itertools import islice

import pytest
import torch

from noise2noise.noise import SIGMA
from noise2noise.photographs import CROP, TRAINING, VALIDATION, noisy_pairs, photograph


@pytest.mark.parametrize("name", [*TRAINING, VALIDATION])
def test_the_wheel_itself_carries_the_photograph(name, monkeypatch):
    def refuse(*_):
        raise AssertionError("a photograph must not be downloaded")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert f"skimage/data/{name}" in {str(path) for path in files("scikit-image")}
    image = photograph(name)
    assert image.dtype == torch.float32
    assert image.shape[0] == 3
    assert min(image.shape[1:]) >= CROP
    assert 0 <= image.min() < image.max() <= 1


def test_a_name_that_the_wheel_does_not_carry_is_refused():
    with pytest.raises(FileNotFoundError, match=r"no 'lily.tif'; known are coffee.png"):
        photograph("lily.tif")


def test_no_photograph_stands_on_both_sides_of_the_split():
    assert VALIDATION not in TRAINING
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= set(TRAINING)
    assert len(set(TRAINING)) == len(TRAINING)


def test_the_seed_decides_crops_and_noise():
    images = [photograph("coffee.png"), photograph("rocket.jpg")]

    def first(seed, dtype=torch.float32):
        return list(islice(noisy_pairs(images, 4, SIGMA, seed, dtype), 2))

    once, again, other = first(1), first(1), first(2)
    for (noisy, target), (noisy_again, target_again) in zip(once, again, strict=True):
        assert torch.equal(noisy, noisy_again)
        assert torch.equal(target, target_again)
    assert not torch.equal(once[0][0], once[1][0])
    assert not torch.equal(once[0][0], other[0][0])
    # The twins are compared in float64 on the same numbers as in float32.
    assert torch.equal(first(1, torch.float64)[0][0], once[0][0].double())


def test_crops_come_from_every_photograph_and_every_corner():
    # Each pixel of these images says which image and which position it is.
    height, width = CROP + 1, CROP + 2
    position = torch.arange(height * width, dtype=torch.float32).reshape(1, height, width)
    images = [(position + 10_000 * index).expand(3, -1, -1) for index in range(3)]
    noisy, _ = next(noisy_pairs(images, 500, 0.0, 0, torch.float32))
    assert noisy.shape == (500, 3, CROP, CROP)
    corners = {int(value) for value in noisy[:, 0, 0, 0]}
    assert corners == {
        10_000 * i + width * y + x for i in range(3) for y in (0, 1) for x in (0, 1, 2)
    }


def test_the_two_noises_are_independent_and_of_the_stated_size():
    black = [torch.zeros(3, CROP, CROP)]
    noisy, target = next(noisy_pairs(black, 64, SIGMA, 3, torch.float64))
    count = noisy.numel()
    five = 5 / math.sqrt(count)  # five standard errors of a mean of `count` unit normals
    for noise in (noisy, target):
        assert abs(noise.mean() / SIGMA) < five
        # The variance of a squared unit normal is 2.
        assert abs((noise / SIGMA).square().mean() - 1) < five * math.sqrt(2)
    assert abs((noisy * target).mean() / SIGMA**2) < five
