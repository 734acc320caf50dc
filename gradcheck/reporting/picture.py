"""A wrong gradient as heat maps: expected, got, and their difference. Needs matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from gradcheck.reporting.patterns import Entries

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def heat_maps(title: str, entries: Entries) -> Figure:
    """Three maps of the whole gradient: the last axis to the right, all others downwards.

    Raises ImportError, with the way out, where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "a picture needs matplotlib, which is not installed: pip install matplotlib, or read"
            " the same numbers in to_dict()"
        ) from error
    difference = entries.got - entries.expected
    largest = entries.expected[entries.bound.isfinite()].abs().max().item()
    off = difference.where(difference.isfinite(), 0.0).abs().max().item()
    figure = Figure(figsize=(12, 4), layout="constrained")
    figure.suptitle(title, wrap=True)
    for axes, (name, values, limit) in zip(
        figure.subplots(1, 3),
        (
            ("expected", entries.expected, largest),
            ("got", entries.got, largest),
            ("got - expected", difference, off),
        ),
        strict=True,
    ):
        _draw(figure, axes, name, values, limit)
    return figure


def _draw(figure: Figure, axes: Any, name: str, values: Tensor, limit: float) -> None:
    """One map, white at 0; what is not finite stays black."""
    table = values.reshape(-1, values.shape[-1]) if values.dim() else values.reshape(1, 1)
    axes.set_facecolor("black")
    finite = table.where(table.isfinite(), float("nan"))
    shown = axes.imshow(
        finite.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="none"
    )
    axes.set_title(name)
    axes.set_xlabel(f"axis {max(values.dim() - 1, 0)}")
    axes.set_ylabel("all axes before it" if values.dim() > 2 else "axis 0")
    figure.colorbar(shown, ax=axes)
