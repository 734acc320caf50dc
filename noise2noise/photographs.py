"""The photographs that scikit-image carries inside its wheel, and pairs of noisy crops of them.

Every photograph stands on one side of the split only; the two motorcycles show one scene and
therefore stay together.
"""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from noise2noise.noise import add_noise

TRAINING = (
    "coffee.png",
    "chelsea.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "hubble_deep_field.jpg",
    "ihc.png",
)
VALIDATION = "astronaut.png"
CROP = 32


def photograph(name: str) -> Tensor:
    """Return the photograph `name` as (3, height, width), float32, from 0 to 1.

    The file is read from the installed package by its path: the functions of `skimage.data`
    would look into a cache first and may download.

    Raises:
        ModuleNotFoundError: scikit-image is not installed.
        FileNotFoundError: the wheel does not carry `name`.
    """
    try:
        from skimage.io import imread
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "noise2noise reads its photographs from scikit-image, which is not installed; "
            "install the group 'application': pip install --group application"
        ) from error
    path = Path(str(files("skimage"))) / "data" / name
    if not path.is_file():
        raise FileNotFoundError(
            f"name: the installed scikit-image carries no {name!r}; "
            f"known are {', '.join((*TRAINING, VALIDATION))}"
        )
    pixels = torch.from_numpy(imread(path))
    return pixels.permute(2, 0, 1).to(torch.float32).div(255).contiguous()


def noisy_pairs(
    images: Sequence[Tensor], batch: int, sigma: float, seed: int, dtype: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for ever two independent noisy versions of `batch` random crops, one batch a step.

    Each photograph is drawn with equal probability and each position in it too, so that a large
    photograph does not outweigh a small one. Both tensors are (batch, 3, CROP, CROP). The same
    seed gives the same crops and the same noise, rounded to `dtype`.
    """
    generator = torch.Generator().manual_seed(seed)
    while True:
        clean = torch.stack([_random_crop(images, generator) for _ in range(batch)])
        noisy = add_noise(clean, sigma, generator)
        target = add_noise(clean, sigma, generator)
        yield noisy.to(dtype), target.to(dtype)


def _random_crop(images: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    def below(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    image = images[below(len(images))]
    top = below(image.shape[1] - CROP + 1)
    left = below(image.shape[2] - CROP + 1)
    return image[:, top : top + CROP, left : left + CROP]
