"""The report's denoiser, built from the scratch layers, in both of its forms.

Two convolutions of stride 2 take (batch, 3, 32, 32) to (batch, 32, 8, 8); the decoder comes back
to (batch, 3, 32, 32), either by one upsampling by 4 or by two by 2. Every kernel is 3 x 3 with
padding 1, and a sigmoid ends in the range of an image.
"""

from typing import Literal, get_args

from scratch_layers import Conv2d, FusedUpsampling, Module, ReLU, Sequential, Sigmoid

Form = Literal["one", "two"]
FORMS: tuple[Form, ...] = get_args(Form)


def denoiser(form: Form) -> Sequential:
    """Return the network with one upsampling by 4 ("one") or with two by 2 ("two").

    The weights are drawn from torch's global generator, in its default dtype.

    Raises:
        ValueError: `form` is neither of the two.
    """
    if form not in FORMS:
        raise ValueError(
            f"form: got {form!r}; allowed are 'one' (one upsampling by 4) and 'two' (two by 2)"
        )
    decoder: list[Module]
    if form == "one":
        decoder = [FusedUpsampling(32, 3, 3, scale_factor=4, padding=1)]
    else:
        decoder = [
            FusedUpsampling(32, 16, 3, scale_factor=2, padding=1),
            ReLU(),
            FusedUpsampling(16, 3, 3, scale_factor=2, padding=1),
        ]
    return Sequential(
        Conv2d(3, 16, 3, stride=2, padding=1),
        ReLU(),
        Conv2d(16, 32, 3, stride=2, padding=1),
        ReLU(),
        *decoder,
        Sigmoid(),
    )
